// ExpertCounts: how many tokens each expert of each layer received; the shape that expert load balancers take.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace railcast {

/// Counts (or shares: the scale does not matter), [layers x experts], by row.
struct ExpertCounts {
  std::int64_t layers = 0, experts = 0;
  std::vector<double> count;

  std::span<const double> row(std::int64_t layer) const {
    return {count.data() + layer * experts, static_cast<std::size_t>(experts)};
  }
  std::span<double> row(std::int64_t layer) {
    return {count.data() + layer * experts, static_cast<std::size_t>(experts)};
  }
};

}  // namespace railcast
