// CPU reference of kernels/adamw.hpp in FP64; moments are read from and rounded to BF16 as the kernel keeps them.
#pragma once
#include <vector>

#include "kernels/adamw.hpp"

namespace railcast::kernels::reference {

struct AdamW {
  std::vector<double> master, m, v;  ///< before the moments are rounded
};
/// Host pointers; nothing is written.
AdamW adamw(const AdamWArgs& args);
double global_norm(const GlobalNormArgs& args);

}  // namespace railcast::kernels::reference
