#include "model/placement.hpp"

#include <algorithm>
#include <numeric>
#include <queue>
#include <stdexcept>
#include <string>

#include "model/packing.hpp"

namespace railcast {
namespace {

[[noreturn]] void refuse(std::int64_t n, const char* what, std::int64_t parts, const char* over) {
  throw std::invalid_argument(std::to_string(n) + " " + what + " do not divide over " + std::to_string(parts) + " " +
                              over);
}

/// One node's part of a layer: its experts in the order of their groups, and their loads.
struct Node {
  std::vector<std::int32_t> expert;
  std::vector<float> load;
};

// Groups to nodes, then the nodes' experts, group by group.
std::vector<Node> nodes_of(std::span<const double> counts, const PlacementSpec& p) {
  const std::size_t groups = p.hierarchical() ? static_cast<std::size_t>(p.groups) : 1;
  const std::size_t nodes = p.hierarchical() ? static_cast<std::size_t>(p.nodes) : 1;
  const std::size_t size = counts.size() / groups;
  std::vector<float> sums(groups);
  for (std::size_t e = 0; e < counts.size(); ++e) sums[e / size] += static_cast<float>(counts[e]);
  std::vector<Node> all(nodes);
  const auto bins = pack(sums, nodes);
  for (std::size_t n = 0; n < nodes; ++n)
    for (std::size_t g : bins[n])
      for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
        all[n].expert.push_back(static_cast<std::int32_t>(e));
        all[n].load.push_back(static_cast<float>(counts[e]));
      }
  return all;
}

void place_layer(std::span<const double> counts, const PlacementSpec& p, std::span<std::int32_t> slots) {
  const auto nodes = nodes_of(counts, p);
  const std::size_t node_slots = slots.size() / nodes.size();
  const std::size_t node_gpus = static_cast<std::size_t>(p.gpus) / nodes.size();
  auto slot = slots.begin();
  for (const Node& n : nodes) {
    const Replicas r = replicate(n.load, node_slots);
    std::vector<float> shares;
    for (std::size_t e : r.item) shares.push_back(n.load[e] / static_cast<float>(r.count[e]));
    for (const auto& gpu : pack(shares, node_gpus))
      for (std::size_t i : gpu) *slot++ = n.expert[r.item[i]];
  }
}

// The least possible largest share of one replica: the next one always to the largest share.
double largest_share(std::span<const double> counts, std::int64_t slots) {
  std::priority_queue<std::pair<double, std::size_t>> shares;
  std::vector<double> replicas(counts.size(), 1);
  for (std::size_t e = 0; e < counts.size(); ++e) shares.push({counts[e], e});
  for (auto left = slots - static_cast<std::int64_t>(counts.size()); left > 0; --left) {
    const std::size_t e = shares.top().second;
    shares.pop();
    shares.push({counts[e] / ++replicas[e], e});
  }
  return shares.top().first;
}

// The heaviest item and the lightest that must share its bin.
double heaviest_and_company(std::vector<double> loads, std::size_t per_bin) {
  std::ranges::sort(loads);
  return std::accumulate(loads.begin(), loads.begin() + static_cast<std::ptrdiff_t>(per_bin - 1), loads.back());
}

double block_bound(std::span<const double> counts, std::int64_t slots, std::int64_t gpus) {
  const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(gpus);
  if (slots > static_cast<std::int64_t>(counts.size())) return std::max(mean, largest_share(counts, slots));
  return std::max(mean, heaviest_and_company({counts.begin(), counts.end()}, static_cast<std::size_t>(slots / gpus)));
}

// Groups over nodes, equally many each. Two a node: heaviest with lightest is best.
double node_bound(std::vector<double> groups, std::int64_t nodes) {
  const std::size_t n = groups.size();
  const double mean = std::accumulate(groups.begin(), groups.end(), 0.0) / static_cast<double>(nodes);
  double bound = std::max(mean, heaviest_and_company(groups, n / static_cast<std::size_t>(nodes)));
  if (n != 2 * static_cast<std::size_t>(nodes)) return bound;
  std::ranges::sort(groups);
  for (std::size_t i = 0; i < n / 2; ++i) bound = std::max(bound, groups[i] + groups[n - 1 - i]);
  return bound;
}

}  // namespace

void check(const PlacementSpec& p, std::int64_t experts) {
  if (p.gpus < 1 || p.nodes < 1 || p.groups < 1 || experts < 1)
    throw std::invalid_argument("expected at least one expert, group, node and GPU");
  if (p.slots < experts)
    throw std::invalid_argument(std::to_string(p.slots) + " slots for " + std::to_string(experts) +
                                " experts; add redundant experts, or fewer GPUs");
  if (p.slots % p.gpus != 0) {
    const std::int64_t missing = p.gpus - p.slots % p.gpus;
    throw std::invalid_argument(std::to_string(p.slots) + " experts and replicas do not divide over " +
                                std::to_string(p.gpus) + " GPUs; " + std::to_string(p.slots - experts + missing) +
                                " redundant experts would");
  }
  if (p.gpus % p.nodes != 0) refuse(p.gpus, "GPUs", p.nodes, "nodes");
  if (experts % p.groups != 0) refuse(experts, "experts", p.groups, "groups");
}

Placement contiguous(std::int64_t layers, std::int64_t experts, std::int64_t gpus) {
  if (gpus < 1 || experts % gpus != 0) refuse(experts, "experts", gpus, "GPUs");
  Placement p{layers, experts, gpus, {}};
  p.expert.resize(static_cast<std::size_t>(layers * experts));
  for (std::int64_t l = 0; l < layers; ++l) std::iota(p.row(l).begin(), p.row(l).end(), 0);
  return p;
}

Placement eplb(const ExpertCounts& c, const PlacementSpec& p) {
  check(p, c.experts);
  Placement out{c.layers, p.slots, p.gpus, {}};
  out.expert.resize(static_cast<std::size_t>(c.layers * p.slots));
  for (std::int64_t l = 0; l < c.layers; ++l) place_layer(c.row(l), p, out.row(l));
  return out;
}

std::vector<double> gpu_loads(std::span<const double> counts, std::span<const std::int32_t> slots, std::int64_t gpus) {
  std::vector<double> replicas(counts.size()), loads(static_cast<std::size_t>(gpus));
  for (std::int32_t e : slots) ++replicas[static_cast<std::size_t>(e)];
  const std::size_t per_gpu = slots.size() / loads.size();
  for (std::size_t s = 0; s < slots.size(); ++s) {
    const auto e = static_cast<std::size_t>(slots[s]);
    loads[s / per_gpu] += counts[e] / replicas[e];
  }
  return loads;
}

double imbalance(std::span<const double> loads) {
  const double sum = std::accumulate(loads.begin(), loads.end(), 0.0);
  return sum > 0 ? *std::ranges::max_element(loads) * static_cast<double>(loads.size()) / sum : 1;
}

double lower_bound(std::span<const double> counts, const PlacementSpec& p) {
  check(p, static_cast<std::int64_t>(counts.size()));
  if (!p.hierarchical() || p.nodes == 1) return block_bound(counts, p.slots, p.gpus);
  const std::size_t size = counts.size() / static_cast<std::size_t>(p.groups);
  const std::int64_t node_slots = p.slots / p.nodes, node_gpus = p.gpus / p.nodes;
  std::vector<double> sums;
  double bound = 0;
  for (std::size_t first = 0; first < counts.size(); first += size) {
    const auto group = counts.subspan(first, size);
    sums.push_back(std::accumulate(group.begin(), group.end(), 0.0));
    // The group's node has all of its slots for it, but for one of each expert of the node's other groups.
    const std::int64_t others = (p.groups / p.nodes - 1) * static_cast<std::int64_t>(size);
    bound = std::max(
        bound, others == 0 ? block_bound(group, node_slots, node_gpus) : largest_share(group, node_slots - others));
  }
  return std::max(bound, node_bound(std::move(sums), p.nodes) / static_cast<double>(node_gpus));
}

}  // namespace railcast
