// A fit as a page: forecast against measured, residual against size, and what to measure next.
#pragma once
#include <string>
#include <vector>

#include "validate/compare.hpp"

namespace railcast {

/// One family's comparison of every row, fitted or held out.
struct FitPlot {
  std::string title;
  std::vector<Case> cases;  ///< `fitted` says on which side the row was
};

/// A whole HTML page with one SVG per family and plot; `next` are lines for `railcast-measure --shapes`.
std::string fit_report_html(const std::string& title, const std::vector<FitPlot>& plots,
                            const std::vector<std::string>& next);

}  // namespace railcast
