// CPU reference of kernels/permute.hpp.
#pragma once
#include <vector>

#include "kernels/permute.hpp"

namespace railcast::kernels::reference {

struct PermuteMap {
  std::vector<int> row_of, choice_of, block_group, offsets;
};
/// args.chosen is read.
PermuteMap permute_map(const PermuteMapArgs& args);
/// Writes args.out and args.scales_out, as the kernel does.
void permute(const PermuteArgs& args);

}  // namespace railcast::kernels::reference
