#include "model/retime.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace railcast {
namespace {

double rate_of(const Retiming& r, Base b) { return r.rate[static_cast<std::size_t>(b)]; }

/// Seconds of latency and work.
struct Split {
  double latency = 0, work = 0;
};

Split summed(const Shares& shares, const Retiming& r) {
  Split s;
  for (const Share& x : shares) {
    const double longer = std::exp(r.z[x.stem] * x.spread / 1.645);
    s.latency += x.latency.seconds() * longer / rate_of(r, Base::latency);
    s.work += x.work.seconds() * longer / rate_of(r, x.base);
  }
  return s;
}

OpCost retimed(const OpCost& cost, const Shares& shares, const Retiming& r) {
  const Split before = summed(shares, {}), after = summed(shares, r);
  OpCost c = cost;
  if (before.latency > 0) c.latency = Time::seconds(cost.latency.seconds() * after.latency / before.latency);
  if (before.work <= 0) return c;
  const double longer = after.work / before.work;
  c.work = Time::seconds(cost.work.seconds() * longer);
  for (const auto& [draw, base] :
       {std::pair{Draw::hbm, Base::hbm}, {Draw::nvlink, Base::nvlink}, {Draw::nic, Base::nic}}) {
    float& drawn = c.draw[static_cast<std::size_t>(draw)];
    drawn = std::min(1.0F, static_cast<float>(static_cast<double>(drawn) / (longer * rate_of(r, base))));
  }
  return c;
}

// MurmurHash3's finaliser (Appleby): the same numbers on every machine, whoever asks first.
std::uint64_t hashed(std::uint64_t x) {
  for (const std::uint64_t factor : {0xff51'afd7'ed55'8ccdULL, 0xc4ce'b9fe'1a85'ec53ULL}) x = (x ^ (x >> 33)) * factor;
  return x ^ (x >> 33);
}

/// Of the standard normal distribution, by bisection of erf.
double normal_quantile(double p) {
  double low = -6, high = 6;
  for (int i = 0; i < 60; ++i) {
    const double mid = (low + high) / 2;
    (0.5 * std::erfc(-mid / std::sqrt(2.0)) < p ? low : high) = mid;
  }
  return (low + high) / 2;
}

/// 0 .. n-1 in an order hashed from the seed.
std::vector<int> shuffled(int n, std::uint64_t seed) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int i) { return hashed(seed ^ hashed(static_cast<std::uint64_t>(i))); });
  return order;
}

/// Takes from each stem's deviates what they share with those before it by chance, and gives them the deviation 1: to
/// first order the variances of the stems then add, and a wider spread of one never narrows the whole.
void orthogonalize(std::vector<Retiming>& all) {
  const double n = static_cast<double>(all.size());
  const auto product = [&](std::size_t a, std::size_t b) {
    return std::accumulate(all.begin(), all.end(), 0.0,
                           [&](double sum, const Retiming& r) { return sum + r.z[a] * r.z[b]; });
  };
  for (std::size_t stem = 0; stem < all[0].z.size(); ++stem) {
    for (std::size_t before = 0; before < stem; ++before) {
      const double shared = product(stem, before) / n;
      for (Retiming& r : all) r.z[stem] -= shared * r.z[before];
    }
    const double length = std::sqrt(product(stem, stem) / n);
    for (Retiming& r : all) r.z[stem] /= length;
  }
}

}  // namespace

std::vector<OpCost> retimed(const TrainStep& step, const Retiming& r) {
  std::vector<OpCost> costs = step.graph.costs;
  for (std::size_t i = 0; i < costs.size(); ++i) costs[i] = retimed(costs[i], step.segments[i].shares, r);
  return costs;
}

Time makespan(const TrainStep& step, const Retiming& r) {
  Graph g = step.graph;
  g.costs = retimed(step, r);
  return simulate(g).makespan;
}

std::vector<Retiming> sampled(int samples, std::uint64_t seed) {
  std::vector<Retiming> all(static_cast<std::size_t>(samples));
  for (std::size_t stem = 0; stem < all[0].z.size(); ++stem) {
    const std::vector<int> strata = shuffled(samples, hashed(1000 * seed + stem + 1));
    for (std::size_t i = 0; i < all.size(); ++i) all[i].z[stem] = normal_quantile((strata[i] + 0.5) / samples);
  }
  if (all.size() > all[0].z.size()) orthogonalize(all);
  return all;
}

Interval step_interval(const TrainStep& step, Time forecast, int samples, std::uint64_t seed) {
  double sum = 0, squares = 0;
  for (const Retiming& r : sampled(samples, seed)) {
    const double x = std::log(makespan(step, r).seconds() / forecast.seconds());
    sum += x, squares += x * x;
  }
  const double mean = sum / samples, half = 1.645 * std::sqrt(std::max(0.0, squares / samples - mean * mean));
  return {forecast.seconds() * std::exp(mean - half), forecast.seconds() * std::exp(mean + half)};
}

double elasticity(const TrainStep& step, std::span<const Base> bases, const Retiming& at, double by) {
  Retiming up = at, down = at;
  for (const Base b : bases) {
    up.rate[static_cast<std::size_t>(b)] *= 1 + by;
    down.rate[static_cast<std::size_t>(b)] /= 1 + by;
  }
  return std::log(makespan(step, up).seconds() / makespan(step, down).seconds()) / (2 * std::log1p(by));
}

}  // namespace railcast
