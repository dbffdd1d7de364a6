// From the fit part of measured rows to calibrated cost models, each with an interval.
#pragma once
#include <string>
#include <vector>

#include "model/fitted.hpp"
#include "validate/split.hpp"

namespace railcast {

/// Rows of one family, impl and method.
struct FamilyRows {
  std::string family, impl, method;
  std::vector<CalibrationRow> rows;
};
std::vector<FamilyRows> by_family(const std::vector<CalibrationRow>& rows);

/// Fewest rows that prices are fitted to.
inline constexpr std::size_t kFewestRows = 12;

/// Prices by robust non-negative least squares, then a smooth residual where cross-validation says that it helps, then
/// bands of the cross-validated errors (split conformal, by novelty). Families with fewer than kFewestRows rows are
/// left out: they are interpolated. `m` has the chip that was measured.
Fit fit(const FitPart& part, const Machine& m);

/// Cross-validated ln(forecast / measured) of each of the family's rows, and how novel each was to its fold.
struct CrossValidated {
  std::vector<double> log_error, novelty;
};
CrossValidated cross_validate(const FittedFamily& f, const FamilyRows& rows, const Machine& m);

}  // namespace railcast
