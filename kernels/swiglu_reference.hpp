// CPU reference of kernels/swiglu.hpp in FP64, before any rounding: what the kernels' outputs are held against.
#pragma once
#include <vector>

#include "kernels/swiglu.hpp"

namespace railcast::kernels::reference {

/// h [rows, cols], the router's weight applied.
std::vector<double> swiglu(const SwiGluArgs& args);

struct SwiGluGradients {
  std::vector<double> d_gate_up;  ///< [rows, 2*cols]
  std::vector<double> h;          ///< [rows, cols], recomputed from the cached E4M3 inputs
  std::vector<double> d_weight;   ///< [rows]
};
SwiGluGradients swiglu_backward(const SwiGluBackwardArgs& args);

}  // namespace railcast::kernels::reference
