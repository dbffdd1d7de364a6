// A step is a DAG of ops held in tables, so it can be printed, folded and checked for deadlock before time starts.
// The engine knows no GPU, rank or stream: a stream is a chain of links, a GPU a few resources.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sim/units.hpp"

namespace railcast {

using OpId = std::uint32_t;
using CostId = std::uint32_t;
using UsesId = std::uint32_t;
using ResourceId = std::uint32_t;

/// How many kinds of capacity one cost may draw on (the model names them: HBM, NVLink, NIC, power).
inline constexpr int kDraws = 4;

/// What an op costs: `latency` never contends; then `work`, the time alone at full speed, contends.
struct OpCost {
  Time latency, work;
  std::array<float, kDraws> draw{};  ///< fraction of each capacity taken at full speed, 0 to 1
  float weight = 1;                  ///< share of an oversubscribed resource (compute 1; a flow 1 / its full rate)
  bool operator==(const OpCost&) const = default;
};

/// One resource that an op holds, and which entry of its cost's `draw` applies to it.
struct Use {
  ResourceId resource = 0;
  std::uint32_t draw = 0;
};

/// 16 bytes: an index into the cost table, one into the table of use lists, and the model's own label.
struct Op {
  CostId cost = 0;
  UsesId uses = 0;
  std::uint64_t tag = 0;
};

/// An immutable DAG in compressed rows. Built by GraphBuilder.
struct Graph {
  std::vector<Op> ops;
  std::vector<OpCost> costs;  ///< distinct costs; swap the table to re-time the same graph
  std::vector<std::uint32_t> uses_begin{0};
  std::vector<Use> uses;  ///< list u is uses[uses_begin[u] .. uses_begin[u+1])
  std::uint32_t resources = 0;
  std::vector<std::uint32_t> successors_begin;  ///< size ops+1
  std::vector<OpId> successors;
  std::vector<std::uint32_t> predecessors;  ///< count per op

  std::span<const Use> uses_of(UsesId u) const {
    return {uses.data() + uses_begin[u], uses_begin[u + 1] - uses_begin[u]};
  }
  std::span<const OpId> successors_of(OpId o) const {
    return {successors.data() + successors_begin[o], successors_begin[o + 1] - successors_begin[o]};
  }
};

class GraphBuilder {
 public:
  /// A new entry each time. Throws std::invalid_argument on a draw outside [0,1], a NaN or a negative time.
  CostId cost(const OpCost& c);
  UsesId uses(std::span<const Use> list);         ///< a new list each time: the caller keeps the id
  ResourceId resource() { return resources_++; }  ///< every resource has capacity 1
  OpId op(CostId cost, UsesId uses, std::uint64_t tag = 0);
  void link(OpId before, OpId after);  ///< duplicates are allowed
  std::size_t size() const { return graph_.ops.size(); }
  void reserve(std::size_t ops, std::size_t links);
  Graph build() &&;

 private:
  Graph graph_;
  std::vector<std::pair<OpId, OpId>> links_;
  std::uint32_t resources_ = 0;
};

/// The ops of one dependency cycle, or nothing. An engine would wait on them for ever.
std::vector<OpId> find_cycle(const Graph& g);

/// Start and end of every op, by op id.
struct Trace {
  std::vector<Time> start, end;
  Time makespan;
  std::uint64_t events = 0;
};

/// Runs the graph. Order is (time, op id): the whole instant is drained, ready ops start in id order, then rates
/// are solved once per touched component. Throws std::runtime_error naming a cycle.
Trace simulate(const Graph& g);

}  // namespace railcast
