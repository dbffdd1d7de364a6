#include "model/routing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/random.hpp"

namespace railcast {
namespace {

constexpr std::uint64_t kPopularity = 1, kMixture = 2, kCounts = 3, kTokens = 4;  // purposes, for hash_of

void normalise(std::vector<double>& v) {
  const double sum = std::accumulate(v.begin(), v.end(), 0.0);
  for (double& x : v) x /= sum;
}

// Gamma(shape, 1), Marsaglia and Tsang 2000; the attempt is one of the ids.
double gamma_of(double shape, std::uint64_t hash) {
  if (shape < 1) return gamma_of(shape + 1, mixed(hash)) * std::pow(unit_of(hash), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double x = normal_of(hash_of(hash, attempt, 0)), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(unit_of(hash_of(hash, attempt, 1))) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

std::vector<double> dirichlet(double concentration, std::size_t n, std::uint64_t hash) {
  std::vector<double> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = std::max(gamma_of(concentration, hash_of(hash, i)), 1e-300);
  normalise(v);
  return v;
}

std::vector<double> zipf(const LoadGenerator& g, std::size_t n, std::uint64_t hash) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t e = 0; e < n; ++e) order.push_back({hash_of(hash, e), e});
  std::ranges::sort(order);
  std::vector<double> v(n);
  for (std::size_t i = 0; i < n; ++i) v[order[i].second] = std::pow(static_cast<double>(i + 1), -g.exponent);
  return v;
}

// An autoregressive log share: w_t = memory w_{t-1} + sqrt(1 - memory^2) z_t, each w_t ~ Normal(0, 1).
std::vector<double> drifting(const LoadGenerator& g, std::size_t n, std::uint64_t hash, std::int64_t window) {
  std::vector<double> v(n);
  for (std::size_t e = 0; e < n; ++e) {
    double w = normal_of(hash_of(hash, e, 0));
    for (std::int64_t t = 1; t <= window; ++t)
      w = g.memory * w + std::sqrt(1 - g.memory * g.memory) * normal_of(hash_of(hash, e, t));
    v[e] = std::exp(g.spread * w);
  }
  return v;
}

std::vector<double> domains(const LoadGenerator& g, std::size_t n, std::uint64_t hash, std::int64_t window) {
  const auto mixture = dirichlet(1, static_cast<std::size_t>(g.domains), hash_of(g.seed, kMixture, window));
  std::vector<double> v(n);
  for (std::size_t d = 0; d < mixture.size(); ++d) {
    const auto of_domain = dirichlet(g.concentration, n, hash_of(hash, d));
    for (std::size_t e = 0; e < n; ++e) v[e] += mixture[d] * of_domain[e];
  }
  return v;
}

// Draws of a multinomial one expert after the other, each binomial by its normal approximation.
void draw_counts(std::span<const double> shares, std::int64_t tokens, std::int64_t draws, std::uint64_t hash,
                 std::span<double> out) {
  double left = static_cast<double>(draws), share_left = 1;
  const double most = static_cast<double>(tokens);
  for (std::size_t e = 0; e < out.size(); ++e) {
    const double p = share_left > 0 ? std::clamp(shares[e] / share_left, 0.0, 1.0) : 1;
    const double n = std::round(left * p + std::sqrt(left * p * (1 - p)) * normal_of(hash_of(hash, e)));
    out[e] = std::clamp(n, 0.0, std::min(most, left));
    left -= out[e], share_left -= shares[e];
  }
  for (std::size_t e = 0; e < out.size() && left > 0; ++e) {  // what the limits left over
    const double more = std::min(left, most - out[e]);
    out[e] += more, left -= more;
  }
}

}  // namespace

void cap_shares(std::vector<double>& v, double cap) {
  for (bool changed = true; changed;) {
    double over = 0, free = 0;
    for (double x : v) x >= cap ? over += x - cap : free += x;
    changed = over > 1e-12 && free > 0;
    for (double& x : v) x = x >= cap ? cap : x * (1 + (free > 0 ? over / free : 0));
  }
}

const char* name(LoadKind k) {
  constexpr const char* kNames[] = {"uniform", "zipf", "dirichlet", "drifting", "domains"};
  return kNames[static_cast<std::size_t>(k)];
}

std::vector<double> load_shares(const LoadGenerator& g, const Router& r, std::int64_t layer, std::int64_t window) {
  check(r);
  const auto n = static_cast<std::size_t>(r.experts);
  const std::uint64_t hash = hash_of(g.seed, kPopularity, layer);
  std::vector<double> v(n, 1);
  if (g.kind == LoadKind::zipf) v = zipf(g, n, hash);
  if (g.kind == LoadKind::dirichlet) v = dirichlet(g.concentration, n, hash);
  if (g.kind == LoadKind::drifting) v = drifting(g, n, hash, window);
  if (g.kind == LoadKind::domains) v = domains(g, n, hash, window);
  normalise(v);
  cap_shares(v, 1 / static_cast<double>(r.top_k));
  return v;
}

ExpertCounts sampled_counts(const LoadGenerator& g, const Router& r, std::int64_t layers, std::int64_t tokens,
                            std::int64_t window) {
  ExpertCounts c{layers, r.experts, std::vector<double>(static_cast<std::size_t>(layers * r.experts))};
  for (std::int64_t l = 0; l < layers; ++l)
    draw_counts(load_shares(g, r, l, window), tokens, tokens * r.top_k, hash_of(g.seed, kCounts, l, window), c.row(l));
  return c;
}

ExpertCounts routed_counts(const LoadGenerator& g, const Router& r, std::int64_t layers, std::int64_t tokens,
                           std::int64_t window) {
  ExpertCounts c{layers, r.experts, {}};
  for (std::int64_t l = 0; l < layers; ++l) {
    const auto routes = sample_routes(r, load_shares(g, r, l, window), tokens, hash_of(g.seed, kTokens, l, window));
    const auto n = counts_of(routes, r.experts);
    c.count.insert(c.count.end(), n.begin(), n.end());
  }
  return c;
}

}  // namespace railcast
