#include <algorithm>
#include <numeric>

#include "sim/graph.hpp"
#include "tests/catch.hpp"
#include "tests/sim/random_graph.hpp"

using namespace railcast;

namespace {

OpCost cost(std::int64_t latency, std::int64_t work, float draw = 1, float weight = 1) {
  return {Time::ps(latency), Time::ps(work), {draw, draw, draw, draw}, weight};
}

std::vector<std::size_t> in_order(std::size_t n) {
  std::vector<std::size_t> p(n);
  std::iota(p.begin(), p.end(), 0U);
  return p;
}

// Longest chain of ops alone, each at full speed.
Time critical_path(const Graph& g) {
  std::vector<Time> end(g.ops.size());
  Time last;
  for (OpId o = 0; o < g.ops.size(); ++o) {  // ids of these tests are topological
    const OpCost& c = g.costs[g.ops[o].cost];
    end[o] += c.latency + c.work;
    last = std::max(last, end[o]);
    for (OpId s : g.successors_of(o)) end[s] = std::max(end[s], end[o]);
  }
  return last;
}

constexpr std::uint32_t kResources = 4;
Graph random_graph(std::uint64_t seed, std::size_t n) {
  return build(random_ops(seed, n, kResources), in_order(n), kResources);
}

}  // namespace

TEST_CASE("a chain takes the sum of its ops", "[sim][engine]") {
  GraphBuilder b;
  const UsesId none = b.uses({});
  const OpId first = b.op(b.cost(cost(5, 100)), none), second = b.op(b.cost(cost(7, 200)), none);
  b.link(first, second);
  const Trace t = simulate(std::move(b).build());
  CHECK(t.start[second] == Time::ps(105));
  CHECK(t.makespan == Time::ps(312));
}

TEST_CASE("a late op halves the first one's rate", "[sim][engine]") {
  GraphBuilder b;
  const Use use{b.resource(), 0};
  const UsesId port = b.uses({&use, 1});
  const OpId early = b.op(b.cost(cost(0, 1000)), port), late = b.op(b.cost(cost(400, 1000)), port);
  const Trace t = simulate(std::move(b).build());
  CHECK(t.end[early] == Time::ps(1600));  // 400 alone, 1200 at half speed
  CHECK(t.end[late] == Time::ps(2000));
}

TEST_CASE("latency does not contend", "[sim][engine]") {
  GraphBuilder b;
  const Use use{b.resource(), 0};
  const UsesId port = b.uses({&use, 1});
  b.op(b.cost(cost(1000, 500)), port), b.op(b.cost(cost(0, 1000)), port);
  CHECK(simulate(std::move(b).build()).makespan == Time::ps(1500));
}

TEST_CASE("two ops that fit beside each other do not slow down", "[sim][engine]") {
  GraphBuilder b;
  const Use use{b.resource(), 0};
  const UsesId hbm = b.uses({&use, 1});
  b.op(b.cost(cost(0, 1000, 0.6F)), hbm), b.op(b.cost(cost(0, 800, 0.4F)), hbm);
  CHECK(simulate(std::move(b).build()).makespan == Time::ps(1000));
}

TEST_CASE("a gang slows to its slowest member's share and couples their components", "[sim][engine]") {
  GraphBuilder b;
  const Use r0{b.resource(), 0}, r1{b.resource(), 0};
  const std::array<Use, 2> both{r0, r1};
  const OpId gang = b.op(b.cost(cost(0, 1000, 0.5F)), b.uses(both));
  const OpId beside = b.op(b.cost(cost(0, 3000, 1)), b.uses({&r1, 1}));
  const Trace t = simulate(std::move(b).build());
  CHECK(t.end[gang] == Time::ps(1500));  // both at 2/3
  CHECK(t.end[beside] == Time::ps(3500));
}

TEST_CASE("the cost table can be swapped to re-time the same graph", "[sim][engine]") {
  Graph g = random_graph(7, 60);
  const Time before = simulate(g).makespan;
  for (OpCost& c : g.costs) c.latency = 2 * c.latency, c.work = 2 * c.work;
  const Time after = simulate(g).makespan;
  CHECK(std::abs((after - 2 * before).ps()) <= 60);  // each op's end is rounded to a picosecond
}

TEST_CASE("a cyclic graph is named before time starts", "[sim][engine]") {
  GraphBuilder b;
  const UsesId none = b.uses({});
  const CostId c = b.cost(cost(0, 1));
  for (int i = 0; i < 4; ++i) b.op(c, none);
  b.link(0, 1), b.link(1, 2), b.link(2, 1), b.link(2, 3);
  const Graph g = std::move(b).build();
  CHECK(find_cycle(g) == std::vector<OpId>{1, 2});
  CHECK_THROWS_WITH(simulate(g), Catch::Matchers::Contains("1 -> 2 -> 1"));
}

TEST_CASE("an unknown id, a draw above one and a NaN are refused", "[sim][graph]") {
  GraphBuilder b;
  CHECK_THROWS_AS(b.op(0, 0), std::invalid_argument);
  CHECK_THROWS_AS(b.cost(cost(0, 1, 1.5F)), std::invalid_argument);
  CHECK_THROWS_AS(b.cost(cost(0, 1, std::nanf(""))), std::invalid_argument);
  CHECK_THROWS_AS(b.cost(cost(-1, 1)), std::invalid_argument);
  const Use unknown{3, 0};
  CHECK_THROWS_AS(b.uses({&unknown, 1}), std::invalid_argument);
  CHECK_THROWS_AS(b.link(0, 1), std::invalid_argument);
}

TEST_CASE("no op beats its time alone, and the makespan is at least the critical path", "[sim][engine]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Graph g = random_graph(seed, 40);
    const Trace t = simulate(g);
    CHECK(t.makespan >= critical_path(g));
    for (OpId o = 0; o < g.ops.size(); ++o) {
      const OpCost& c = g.costs[g.ops[o].cost];
      CHECK(t.end[o] - t.start[o] >= c.latency + c.work);
      for (OpId s : g.successors_of(o)) CHECK(t.start[s] >= t.end[o]);
    }
  }
}

TEST_CASE("the makespan is at least the work of the busiest resource", "[sim][engine]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Graph g = random_graph(seed, 40);
    std::array<double, kResources> busy{};
    for (const Op& o : g.ops)
      for (const Use& u : g.uses_of(o.uses))
        busy[u.resource] += static_cast<double>(g.costs[o.cost].work.ps()) * g.costs[o.cost].draw[u.draw];
    const double makespan = static_cast<double>(simulate(g).makespan.ps());
    for (double b : busy) CHECK(makespan >= b * (1 - 1e-9) - 40);
  }
}

TEST_CASE("insertion order changes no start and no end", "[sim][engine]") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const auto ops = random_ops(seed, 40, kResources);
    auto shuffled = in_order(ops.size());
    Random random(seed);
    for (std::uint32_t i = 39; i > 0; --i) std::swap(shuffled[i], shuffled[random.below(i + 1)]);
    const Trace a = simulate(build(ops, in_order(ops.size()), kResources));
    const Trace b = simulate(build(ops, shuffled, kResources));
    for (std::size_t i = 0; i < ops.size(); ++i) CHECK(a.end[i] == b.end[shuffled[i]]);
  }
}

TEST_CASE("copies of a graph beside each other behave as one", "[sim][engine]") {
  const auto ops = random_ops(3, 30, kResources);
  const Trace alone = simulate(build(ops, in_order(30), kResources));
  auto twice = ops;
  for (const LooseOp& o : ops) {
    LooseOp copy = o;
    for (Use& u : copy.uses) u.resource += kResources;
    for (std::size_t& a : copy.after) a += 30;
    twice.push_back(copy);
  }
  const Trace both = simulate(build(twice, in_order(60), 2 * kResources));
  for (std::size_t i = 0; i < 60; ++i) CHECK(both.end[i] == alone.end[i % 30]);
}
