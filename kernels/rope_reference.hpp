// CPU reference of kernels/rope.hpp in FP64.
#pragma once
#include <vector>

#include "kernels/rope.hpp"

namespace railcast::kernels::reference {

/// The rotated rows [rows, cols]; args.x is only read.
std::vector<double> rope(const RopeArgs& args);

}  // namespace railcast::kernels::reference
