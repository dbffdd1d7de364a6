// Placement: which GPU holds which expert, how evenly that spreads the tokens, and what moving to another one sends.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/expert_counts.hpp"
#include "model/flows.hpp"

namespace railcast {

/// Where experts may go. `slots` of all GPUs together; what is over the experts' number holds replicas. With `groups`
/// a multiple of `nodes` an expert group stays inside one node (a token of a node-limited gate then reaches few nodes).
struct PlacementSpec {
  std::int64_t slots = 0, groups = 1, nodes = 1, gpus = 1;

  bool hierarchical() const { return groups % nodes == 0; }
  std::int64_t per_gpu() const { return slots / gpus; }
};
/// Throws std::invalid_argument: slots that do not divide over the GPUs or hold less than all experts, GPUs that do not
/// divide over the nodes, experts that do not divide over the groups.
void check(const PlacementSpec& p, std::int64_t experts);

/// Slot s of layer l holds expert[l * slots + s]; GPU g has the slots g * per_gpu to (g + 1) * per_gpu - 1. A token for
/// an expert goes to each of its replicas with equal chance.
struct Placement {
  std::int64_t layers = 0, slots = 0, gpus = 1;
  std::vector<std::int32_t> expert;

  std::int64_t per_gpu() const { return slots / gpus; }
  std::span<const std::int32_t> row(std::int64_t layer) const {
    return {expert.data() + layer * slots, static_cast<std::size_t>(slots)};
  }
  std::span<std::int32_t> row(std::int64_t layer) {
    return {expert.data() + layer * slots, static_cast<std::size_t>(slots)};
  }
  bool operator==(const Placement&) const = default;
};

/// Expert e on GPU e / (experts / gpus), no replicas: what a model without a balancer runs with. Throws
/// std::invalid_argument where the experts do not divide over the GPUs.
Placement contiguous(std::int64_t layers, std::int64_t experts, std::int64_t gpus);

/// DeepSeek's expert-parallelism load balancer (github.com/deepseek-ai/EPLB): groups to nodes, replicas inside a node,
/// replicas to GPUs, each heaviest first to the lightest that has a slot left, ties to the lowest index; one item per
/// bin stays in order. Without `hierarchical()` the same with one node and one group. Figures are FP32, as there.
Placement eplb(const ExpertCounts& c, const PlacementSpec& p);

/// A placement under the same rules whose busiest GPU is never busier than `start`'s. From eplb's and from its own
/// packing: exchanges of two slots (of two groups, between nodes), and of a replica of one expert for one of another,
/// while the busiest GPU's load falls. A fixed number of trials, no clock.
Placement improve(const ExpertCounts& c, const PlacementSpec& p, const Placement& start);

/// Tokens by GPU under one layer's slots.
std::vector<double> gpu_loads(std::span<const double> counts, std::span<const std::int32_t> slots, std::int64_t gpus);
/// Largest over mean; 1 where there is no load.
double imbalance(std::span<const double> loads);

/// No placement under these rules has a busiest GPU with less than this: the largest of the mean load, the least
/// possible largest share of one replica and, under hierarchical rules, a GPU's part of the heaviest node at its
/// lightest; without replicas also the heaviest expert with the lightest that must share its GPU.
double lower_bound(std::span<const double> counts, const PlacementSpec& p);

/// `to` with its GPUs renumbered (and its nodes, under hierarchical rules) so that many experts stay where `from` has
/// them: greedily, the two with most in common first. Every GPU is as good as another, so the load stays the same.
Placement relabelled(const Placement& from, const Placement& to, const PlacementSpec& p);

/// Expert weights that must travel. `messages` are experts by pair of GPUs, in bytes once multiplied by an expert's:
/// each from a GPU that holds it already, in the same node where there is one, else from the one that sends least.
struct Moves {
  std::int64_t experts = 0;          ///< slots that get new weights, over all layers
  std::int64_t most_into_a_gpu = 0;  ///< of them
  std::vector<Message> messages;     ///< bytes: number of experts x bytes_per_expert
};
Moves moves(const Placement& from, const Placement& to, std::int64_t gpus_per_node, double bytes_per_expert);

}  // namespace railcast
