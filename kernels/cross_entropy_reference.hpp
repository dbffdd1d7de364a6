// CPU reference of kernels/cross_entropy.hpp in FP64.
#pragma once
#include <vector>

#include "kernels/cross_entropy.hpp"

namespace railcast::kernels::reference {

struct CrossEntropy {
  std::vector<double> loss;      ///< [tokens]
  std::vector<double> gradient;  ///< [tokens, vocab]
};
/// args.logits is only read.
CrossEntropy cross_entropy(const CrossEntropyArgs& args);

}  // namespace railcast::kernels::reference
