// CPU reference of kernels/rms_norm.hpp in FP64.
#pragma once
#include <vector>

#include "kernels/rms_norm.hpp"

namespace railcast::kernels::reference {

struct Normed {
  std::vector<double> y;     ///< [rows, cols]
  std::vector<double> rstd;  ///< [rows]
};
Normed rms_norm(const RmsNormArgs& args);

struct NormGradients {
  std::vector<double> d_x;       ///< [rows, cols]
  std::vector<double> d_weight;  ///< [cols]
};
NormGradients rms_norm_backward(const RmsNormBackwardArgs& args);

}  // namespace railcast::kernels::reference
