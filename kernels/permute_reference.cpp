#include "kernels/permute_reference.hpp"

#include <cstring>

namespace railcast::kernels::reference {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// First row of each expert, and the end.
std::vector<int> padded_offsets(const PermuteMapArgs& a) {
  std::vector<int> offsets(index(a.experts + 1));
  for (std::int64_t i = 0; i < a.tokens * a.top_k; ++i)
    if (a.chosen[i] >= 0) ++offsets[index(a.chosen[i] + 1)];
  for (std::size_t e = 1; e < offsets.size(); ++e)
    offsets[e] = offsets[e - 1] + (offsets[e] + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  return offsets;
}

}  // namespace

PermuteMap permute_map(const PermuteMapArgs& a) {
  PermuteMap map{std::vector<int>(index(a.tokens * a.top_k), -1), std::vector<int>(index(a.rows), -1),
                 std::vector<int>(index(a.rows / kRowAlignment), -1), padded_offsets(a)};
  std::vector<int> next(map.offsets.begin(), map.offsets.end() - 1);
  for (std::int64_t i = 0; i < a.tokens * a.top_k; ++i) {
    if (a.chosen[i] < 0) continue;
    const int row = next[index(a.chosen[i])]++;
    map.row_of[index(i)] = row;
    map.choice_of[index(row)] = static_cast<int>(i);
  }
  for (std::int64_t e = 0; e < a.experts; ++e)
    for (int row = map.offsets[index(e)]; row < map.offsets[index(e + 1)]; row += kRowAlignment)
      map.block_group[index(row / kRowAlignment)] = static_cast<int>(e);
  return map;
}

void permute(const PermuteArgs& a) {
  for (std::int64_t row = 0; row < *a.end; ++row) {
    const int choice = a.choice_of[row];
    const std::int64_t token = choice / a.top_k;
    char* to = static_cast<char*>(a.out) + row * a.row_bytes;
    if (choice >= 0)
      std::memcpy(to, static_cast<const char*>(a.x) + token * a.row_bytes, index(a.row_bytes));
    else
      std::memset(to, 0, index(a.row_bytes));
    for (std::int64_t g = 0; g < a.groups; ++g)
      a.scales_out[g * a.scale_stride + row] =
          choice >= 0 ? a.scales[token * a.token_stride + g * a.group_stride] : 0.0F;
  }
}

}  // namespace railcast::kernels::reference
