// Folding: which ranks behave alike, so that one of them can be simulated for all.
#pragma once
#include <cstdint>
#include <vector>

namespace railcast {

/// A way of grouping ranks (tensor-parallel groups, expert-parallel groups, pipelines ...): group id by rank.
using Grouping = std::vector<std::uint32_t>;

/// The coarsest equitable refinement of `colours`: ranks keep a common colour only while, in every grouping, their
/// groups hold the same multiset of colours. Ranks of one colour then go through the same step, because each meets
/// partners of the same colours. Colours are numbered by their lowest rank.
/// (Colour refinement: Paige and Tarjan 1987; here by plain iteration, as the number of rounds is small.)
std::vector<std::uint32_t> equitable_colours(std::vector<std::uint32_t> colours,
                                             const std::vector<Grouping>& groupings);

}  // namespace railcast
