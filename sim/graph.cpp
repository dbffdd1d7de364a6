#include "sim/graph.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace railcast {

CostId GraphBuilder::cost(const OpCost& c) {
  const auto bad = [](float d) { return !(d >= 0 && d <= 1); };
  if (std::ranges::any_of(c.draw, bad)) throw std::invalid_argument("a cost draws less than 0 or more than 1");
  if (!(c.weight > 0) || !std::isfinite(c.weight)) throw std::invalid_argument("a cost's weight is not positive");
  if (c.latency < Time() || c.work < Time()) throw std::invalid_argument("a cost takes negative time");
  graph_.costs.push_back(c);
  return static_cast<CostId>(graph_.costs.size() - 1);
}

UsesId GraphBuilder::uses(std::span<const Use> list) {
  for (const Use& u : list)
    if (u.resource >= resources_ || u.draw >= kDraws) throw std::invalid_argument("a use of an unknown resource");
  graph_.uses.insert(graph_.uses.end(), list.begin(), list.end());
  graph_.uses_begin.push_back(static_cast<std::uint32_t>(graph_.uses.size()));
  return static_cast<UsesId>(graph_.uses_begin.size() - 2);
}

OpId GraphBuilder::op(CostId cost, UsesId uses, std::uint64_t tag) {
  if (cost >= graph_.costs.size()) throw std::invalid_argument("an op of an unknown cost");
  if (uses + 1 >= graph_.uses_begin.size()) throw std::invalid_argument("an op with an unknown list of uses");
  graph_.ops.push_back({cost, uses, tag});
  return static_cast<OpId>(graph_.ops.size() - 1);
}

void GraphBuilder::link(OpId before, OpId after) {
  if (before >= size() || after >= size()) throw std::invalid_argument("a link to an unknown op");
  links_.push_back({before, after});
}

void GraphBuilder::reserve(std::size_t ops, std::size_t links) {
  graph_.ops.reserve(ops);
  links_.reserve(links);
}

// Counting sort of the links by their first end; a row keeps the order of insertion.
Graph GraphBuilder::build() && {
  const std::size_t n = size();
  graph_.resources = resources_;
  graph_.predecessors.assign(n, 0);
  graph_.successors_begin.assign(n + 1, 0);
  for (const auto& [before, after] : links_) ++graph_.successors_begin[before + 1], ++graph_.predecessors[after];
  for (std::size_t i = 0; i < n; ++i) graph_.successors_begin[i + 1] += graph_.successors_begin[i];
  graph_.successors.resize(links_.size());
  for (const auto& [before, after] : links_) graph_.successors[graph_.successors_begin[before]++] = after;
  for (std::size_t i = n; i > 0; --i) graph_.successors_begin[i] = graph_.successors_begin[i - 1];
  graph_.successors_begin[0] = 0;
  return std::move(graph_);
}

namespace {

// Predecessor counts after every op that can ever start has been taken away: what keeps one is on or behind a cycle.
std::vector<std::uint32_t> unreachable(const Graph& g) {
  auto waiting = g.predecessors;
  std::vector<OpId> ready;
  for (OpId o = 0; o < g.ops.size(); ++o)
    if (waiting[o] == 0) ready.push_back(o);
  while (!ready.empty()) {
    const OpId o = ready.back();
    ready.pop_back();
    for (OpId s : g.successors_of(o))
      if (--waiting[s] == 0) ready.push_back(s);
  }
  return waiting;
}

}  // namespace

std::vector<OpId> find_cycle(const Graph& g) {
  const auto waiting = unreachable(g);
  const auto first = std::ranges::find_if(waiting, [](std::uint32_t w) { return w > 0; });
  if (first == waiting.end()) return {};
  // Every op that waits has a predecessor that waits: walking back must repeat one.
  std::vector<OpId> before(g.ops.size(), 0), path;
  for (OpId o = 0; o < g.ops.size(); ++o)
    for (OpId s : g.successors_of(o))
      if (waiting[o] > 0 && waiting[s] > 0) before[s] = o;
  std::vector<bool> seen(g.ops.size());
  OpId o = static_cast<OpId>(first - waiting.begin());
  for (; !seen[o]; o = before[o]) seen[o] = true;
  const OpId start = o;
  do path.push_back(o), o = before[o];
  while (o != start);
  std::ranges::reverse(path);
  std::ranges::rotate(path, std::ranges::min_element(path));
  return path;
}

}  // namespace railcast
