// Packing: items of unequal load into bins with an equal number of places, and replicas of the heaviest.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

namespace railcast {

/// Items by bin, in the order in which they came. Heaviest first, each to the lightest bin with a place left; ties to
/// the lowest index. One item per bin stays in order (any order is as even). Items must divide over the bins.
std::vector<std::vector<std::size_t>> pack(std::span<const float> load, std::size_t bins);

/// `places` replicas of the items: first one of each, then one more at a time for the largest load per replica.
struct Replicas {
  std::vector<std::size_t> item;   ///< by replica
  std::vector<std::size_t> count;  ///< by item
};
Replicas replicate(std::span<const float> load, std::size_t places);

}  // namespace railcast
