// How far measurements lie from forecasts: spreads of ln(time) that hold 90 % of them.
#pragma once
#include <vector>

namespace railcast {

/// The 90 % conformal quantile of n absolute errors: the ceil(0.9 (n + 1))-th smallest, or the largest; 0 of none.
double conformal(std::vector<double> errors);

/// Of a roofline, and of whatever else is assumed: of the H100's sustained rows, 90 % took less than e^this times their
/// roofline (tests/model/spread_test.cpp takes the quantile again).
inline constexpr double kRooflineSpread = 0.77;
/// Of a collective priced from its ports' effective rates, over 1 MB in a node: 400 NCCL timings of 2 to 8 H100
/// (validate/published/nccl_h100.csv; the same test).
inline constexpr double kCollectiveSpread = 0.19;
/// Of a dispatch or combine by the kernels' constants: DeepEP's published tables, fitted and held out.
inline constexpr double kExchangeSpread = 0.10;

}  // namespace railcast
