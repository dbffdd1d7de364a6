#include "sim/share.hpp"

#include <algorithm>
#include <cmath>

#include "tests/catch.hpp"
#include "tests/sim/random_graph.hpp"

using namespace railcast;

namespace {

struct Demand {
  double weight;
  std::vector<Draw1> draws;
};

std::vector<double> solve(std::size_t resources, const std::vector<Demand>& ops) {
  ShareProblem p;
  p.clear(resources);
  for (const Demand& d : ops) {
    p.op(d.weight);
    for (const Draw1& x : d.draws) p.draw(x.resource, x.fraction);
  }
  const auto s = p.solve();
  return {s.begin(), s.end()};
}

double used(const std::vector<Demand>& ops, const std::vector<double>& speed, std::uint32_t resource) {
  double sum = 0;
  for (std::size_t i = 0; i < ops.size(); ++i)
    for (const Draw1& d : ops[i].draws)
      if (d.resource == resource) sum += speed[i] * d.fraction;
  return sum;
}

std::vector<Demand> random_problem(std::uint64_t seed, std::size_t ops, std::uint32_t resources) {
  Random random(seed);
  std::vector<Demand> all(ops);
  for (Demand& d : all) {
    d.weight = 0.1 + random.real();
    for (std::uint32_t r = 0; r < resources; ++r)
      if (random.below(3) == 0) d.draws.push_back({r, 0.05 + 0.95 * random.real()});
  }
  return all;
}

}  // namespace

TEST_CASE("two equal ops that each want all of a resource run at half speed", "[sim][share]") {
  CHECK(solve(1, {{1, {{0, 1}}}, {1, {{0, 1}}}}) == std::vector<double>{0.5, 0.5});
}

TEST_CASE("an op takes what a bottlenecked one leaves on its other resource", "[sim][share]") {
  // r0: a + b <= 1, r1: 0.25 b + c <= 1 with a = b = 1/2, so c = 0.875.
  const auto s = solve(2, {{1, {{0, 1}}}, {1, {{0, 1}, {1, 0.25}}}, {1, {{1, 1}}}});
  CHECK(s == std::vector<double>{0.5, 0.5, 0.875});
}

TEST_CASE("flows weighted by one over their full rate get equal bytes per second", "[sim][share]") {
  // Full rates 100 and 50 of a port of 100: 50 each is full speed for the second.
  const auto s = solve(1, {{1.0 / 100, {{0, 1}}}, {1.0 / 50, {{0, 0.5}}}});
  CHECK(s[0] * 100 == Approx(50));
  CHECK(s[1] * 50 == Approx(50));
}

TEST_CASE("an op without a draw, or on an undersubscribed resource, runs at full speed", "[sim][share]") {
  CHECK(solve(1, {{1, {}}, {1, {{0, 0.3}}}, {1, {{0, 0.7}}}}) == std::vector<double>{1, 1, 1});
}

TEST_CASE("shares never exceed a capacity, and every slowed op has a full resource", "[sim][share]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto ops = random_problem(seed, 1 + seed % 20, 6);
    const auto speed = solve(6, ops);
    for (std::uint32_t r = 0; r < 6; ++r) CHECK(used(ops, speed, r) <= 1 + 1e-9);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      const bool held =
          std::ranges::any_of(ops[i].draws, [&](const Draw1& d) { return used(ops, speed, d.resource) > 1 - 1e-9; });
      CHECK((speed[i] == 1 || held));
    }
  }
}

TEST_CASE("the order of ops changes no bit of their speeds", "[sim][share]") {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    auto ops = random_problem(seed, 12, 5);
    auto forward = solve(5, ops);
    std::ranges::reverse(ops);
    std::ranges::reverse(forward);
    CHECK(solve(5, ops) == forward);
  }
}
