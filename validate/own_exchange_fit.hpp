// The constants of railcast's own dispatch and combine, fitted to rows of railcast-measure: virtual ranks for the
// memory's side, two GPUs for NVLink's.
#pragma once
#include <string>
#include <vector>

#include "model/own_exchange.hpp"

namespace railcast {

/// A measured dispatch or combine.
struct OwnRow {
  OwnExchange exchange;
  double us = 0;
  std::string where;  ///< file:line
};
std::string describe(const OwnRow& r);

/// A row goes where the hash of its exchange says, as validate/split.hpp's rows do; 30 % are held out.
bool held_out(const OwnRow& r);

/// Of the rows that are not held out. Each row informs the bound that is its largest, so that bounds and coefficients
/// are found in turn (robust least squares of the logarithm).
OwnExchangeKernels fit_own_exchange(const Machine& m, const std::vector<OwnRow>& rows);

}  // namespace railcast
