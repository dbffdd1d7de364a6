// Routing: where the tokens of a workload go. Loads of a seeded generator, or recorded ones.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/expert_counts.hpp"
#include "model/router.hpp"

namespace railcast {

/// How popular the experts of a layer are.
///   uniform    all alike
///   zipf       the i-th most popular expert (which one: by layer) in proportion to i^-exponent
///   dirichlet  shares ~ Dirichlet(concentration): small values, few busy experts
///   drifting   log shares ~ Normal(0, spread), correlated `memory` from one window to the next
///   domains    mixture of `domains` Dirichlet(concentration) popularities, in proportions that change by window
enum class LoadKind : std::uint8_t { uniform, zipf, dirichlet, drifting, domains };
const char* name(LoadKind k);

struct LoadGenerator {
  LoadKind kind = LoadKind::uniform;
  double exponent = 0.5, concentration = 1, spread = 0.5, memory = 0.9;
  std::int64_t domains = 4;
  std::uint64_t seed = 0;
};

/// Shares of a layer's selections, summing to 1, none above 1/top_k (a token picks an expert once). Hashed from
/// (seed, layer, expert, window): drifting and domains change with the window, the others do not.
std::vector<double> load_shares(const LoadGenerator& g, const Router& r, std::int64_t layer, std::int64_t window = 0);

/// Shares, summing to 1, with none above `cap`: what is over goes to the others in proportion.
void cap_shares(std::vector<double>& v, double cap);

/// Counts of `tokens` tokens of each layer: draws from load_shares that sum to tokens x top_k, none above `tokens`.
ExpertCounts sampled_counts(const LoadGenerator& g, const Router& r, std::int64_t layers, std::int64_t tokens,
                            std::int64_t window = 0);
/// As sampled_counts, with each token sent through the gate (sample_routes): its group limit levels or sharpens loads.
ExpertCounts routed_counts(const LoadGenerator& g, const Router& r, std::int64_t layers, std::int64_t tokens,
                           std::int64_t window = 0);

}  // namespace railcast
