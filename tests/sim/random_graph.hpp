// Seeded random graphs for property tests: a hash of (seed, count), so a failing seed can be run again.
#pragma once
#include <cstdint>
#include <vector>

#include "sim/graph.hpp"

namespace railcast {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ULL + 1) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(next() % n); }
  double real() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// A random op before it has an id: links go from lower to higher position.
struct LooseOp {
  OpCost cost;
  std::vector<Use> uses;
  std::vector<std::size_t> after;
};

inline std::vector<LooseOp> random_ops(std::uint64_t seed, std::size_t n, std::uint32_t resources) {
  Random random(seed);
  std::vector<LooseOp> ops(n);
  for (std::size_t i = 0; i < n; ++i) {
    LooseOp& o = ops[i];
    o.cost.latency = Time::ps(random.below(3) * 500);
    o.cost.work = Time::ps(random.below(4) == 0 ? 0 : 1000 + random.below(100'000));
    for (float& d : o.cost.draw) d = static_cast<float>(random.real());
    for (ResourceId r = 0; r < resources; ++r)
      if (random.below(3) == 0) o.uses.push_back({r, random.below(kDraws)});
    for (std::uint32_t k = random.below(3); k > 0 && i > 0; --k)
      o.after.push_back(random.below(static_cast<std::uint32_t>(i)));
  }
  return ops;
}

/// Builds the ops in the order given by `position` (position[i] is the place of op i in the table).
inline Graph build(const std::vector<LooseOp>& ops, const std::vector<std::size_t>& position, std::uint32_t resources) {
  GraphBuilder b;
  for (std::uint32_t r = 0; r < resources; ++r) b.resource();
  std::vector<std::size_t> at(ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) at[position[i]] = i;
  for (std::size_t i : at) b.op(b.cost(ops[i].cost), b.uses(ops[i].uses), i);
  for (std::size_t i = 0; i < ops.size(); ++i)
    for (std::size_t a : ops[i].after) b.link(static_cast<OpId>(position[a]), static_cast<OpId>(position[i]));
  return std::move(b).build();
}

}  // namespace railcast
