// Collectives as flows: what each GPU sends to which, so that links, faults and other jobs are seen.
#pragma once
#include <cstdint>
#include <vector>

#include "model/flows.hpp"

namespace railcast {

/// GPUs `first` to `first + count - 1` of a fabric with `per_node` GPUs a node.
struct GpuRun {
  std::int64_t first = 0, count = 0, per_node = 8;
};

/// What a rank sends in one pass of a hierarchical ring (reduce-scatter, all-gather) over a vector of `bytes`: the part
/// within the node to its successor there, and its share of the rest to the GPU of its place in the next node. With
/// `passes` 2, an all-reduce. Throws std::invalid_argument where the run fills its nodes unequally.
std::vector<Message> ring_flows(const GpuRun& g, double bytes, std::int64_t passes);

/// All-reduce by two binary trees over the nodes, each with half of the data, a node inner in at most one of them
/// (Sanders, Speck, Traeff 2009, as NCCL's); within a node as ring_flows. Reduced up and broadcast down.
std::vector<Message> tree_flows(const GpuRun& g, double bytes);

/// Parents of a binary tree over 0 .. n-1 in which odd numbers are leaves; the root's is -1.
std::vector<std::int64_t> tree_parents(std::int64_t n);

/// `bytes[i][j]` from the run's GPU i to its GPU j. Throws std::invalid_argument where it is not square.
std::vector<Message> all_to_all_v(const GpuRun& g, const std::vector<std::vector<double>>& bytes);

/// Messages of the same pair added up, in order of (from, to).
std::vector<Message> merged(std::vector<Message> messages);

}  // namespace railcast
