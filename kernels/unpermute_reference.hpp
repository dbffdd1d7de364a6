// CPU reference of kernels/unpermute.hpp in FP64.
#pragma once
#include <vector>

#include "kernels/unpermute.hpp"

namespace railcast::kernels::reference {

/// [tokens, cols]
std::vector<double> unpermute(const UnpermuteArgs& args);

struct UnpermuteGradients {
  std::vector<double> d_y;        ///< [rows, cols], zeros where no choice lies
  std::vector<double> d_weights;  ///< [tokens, top_k]
};
UnpermuteGradients unpermute_backward(const UnpermuteBackwardArgs& args, std::int64_t rows);

}  // namespace railcast::kernels::reference
