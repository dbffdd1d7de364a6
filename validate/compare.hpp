// Forecasts beside what was measured or published, and what the errors come to.
#pragma once
#include <string>
#include <vector>

#include "model/fitted.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// One comparison. The interval is where 90 % of measurements are expected; low = high = forecast where there is none.
struct Case {
  std::string suite, id, source, unit, metric;
  double forecast = 0, low = 0, high = 0, truth = 0;
  double within = 0;                     ///< stated bound of the relative error; 0: none stated
  bool fitted = false;                   ///< a constant of the model was fitted to it: left out of the summary
  std::string note = {};                 ///< what is behind an error
  std::vector<Neighbour> rests_on = {};  ///< of a forecast from a fit: the rows most like it
  double error() const { return forecast / truth - 1; }
  bool has_interval() const { return high > low; }
  bool inside() const { return low <= truth && truth <= high; }
  bool broken() const;  ///< off by more than its stated bound
};

/// Of the cases that nothing was fitted to. Errors are relative; coverage over those with an interval.
struct Summary {
  std::string suite;
  std::int64_t rows = 0, with_interval = 0, broken = 0;
  double median_error = 0, p90_error = 0, bias = 0, coverage = 0;
};
Summary summarize(const std::string& suite, const std::vector<Case>& cases);

/// Every row that the fit has a family for; others are named in `left_out`.
std::vector<Case> compare_rows(const Fit& f, const Machine& m, const std::vector<CalibrationRow>& rows,
                               const std::string& suite, std::vector<std::string>* left_out = nullptr);

/// The q-quantile, straight between the ranks.
double quantile(std::vector<double> values, double q);

}  // namespace railcast
