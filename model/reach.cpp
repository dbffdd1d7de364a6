// How far a token's copies travel: distinct nodes and GPUs of its experts.
#include <algorithm>
#include <span>
#include <stdexcept>

#include "model/gating.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kTokens = 1024;

// Expected number of `parts` equal shares of the experts holding at least one of top_k drawn without replacement.
double hit_parts(std::int64_t experts, std::int64_t top_k, std::int64_t parts) {
  const std::int64_t elsewhere = experts - experts / parts;
  double none = 1;
  for (std::int64_t i = 0; i < top_k; ++i) {
    none *= static_cast<double>(std::max<std::int64_t>(0, elsewhere - i)) / static_cast<double>(experts - i);
  }
  return static_cast<double>(parts) * (1 - none);
}

// Number of distinct values of expert / share among the chosen.
double distinct(std::span<const std::uint64_t> chosen, std::int64_t share, std::vector<std::int64_t>& seen,
                std::int64_t token) {
  double n = 0;
  for (const std::uint64_t e : chosen) {
    std::int64_t& last = seen[e / static_cast<std::uint64_t>(share)];
    if (last != token) ++n;
    last = token;
  }
  return n;
}

}  // namespace

Reach expected_reach(const Dispatch& d, std::int64_t ranks_per_node, GroupScore score) {
  Gating gate(d, score);
  if (ranks_per_node < 1) throw std::invalid_argument("a node has one GPU at least");
  const std::int64_t per_node = std::min(ranks_per_node, d.ranks);
  const std::int64_t nodes = (d.ranks + per_node - 1) / per_node;
  Reach r;
  if (d.top_groups == d.groups) {
    r.nodes = hit_parts(d.experts, d.top_k, nodes);
    r.gpus = hit_parts(d.experts, d.top_k, d.ranks);
  } else {
    std::vector<std::int64_t> node_seen(static_cast<std::size_t>(nodes), -1),
        gpu_seen(static_cast<std::size_t>(d.ranks), -1);
    const std::int64_t per_gpu = d.experts / d.ranks;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      const auto chosen = gate.route(token);
      r.nodes += distinct(chosen, per_gpu * per_node, node_seen, token) / static_cast<double>(kTokens);
      r.gpus += distinct(chosen, per_gpu, gpu_seen, token) / static_cast<double>(kTokens);
    }
  }
  r.remote_nodes = r.nodes * (1 - 1 / static_cast<double>(nodes));
  r.remote_gpus_in_node = r.gpus * (1 - 1 / static_cast<double>(per_node));
  return r;
}

}  // namespace railcast
