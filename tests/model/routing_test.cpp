#include "model/routing.hpp"

#include <rapidcheck.h>
#include <algorithm>
#include <numeric>

#include "tests/catch.hpp"

using namespace railcast;

namespace {

const Router kV3{256, 8, 8, 4, true};

LoadGenerator generator(LoadKind kind, std::uint64_t seed = 1) {
  LoadGenerator g;
  g.kind = kind, g.seed = seed;
  return g;
}

const LoadKind kKindsOfLoad[] = {LoadKind::uniform, LoadKind::zipf, LoadKind::dirichlet, LoadKind::drifting,
                                 LoadKind::domains};

double sum(std::span<const double> v) { return std::accumulate(v.begin(), v.end(), 0.0); }

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double n = static_cast<double>(a.size()), ma = sum(a) / n, mb = sum(b) / n;
  double ab = 0, aa = 0, bb = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    ab += (a[i] - ma) * (b[i] - mb), aa += (a[i] - ma) * (a[i] - ma), bb += (b[i] - mb) * (b[i] - mb);
  return ab / std::sqrt(aa * bb);
}

}  // namespace

TEST_CASE("counts of a generator add up to every token's selections", "[model][routing]") {
  CHECK(rc::check("of any kind, none above the tokens", [] {
    LoadGenerator g = generator(kKindsOfLoad[*rc::gen::inRange(0, 5)], *rc::gen::arbitrary<std::uint64_t>());
    g.exponent = 0.1 * *rc::gen::inRange(1, 40), g.concentration = 0.02 * *rc::gen::inRange(1, 100);
    g.spread = 0.1 * *rc::gen::inRange(1, 30);
    const std::int64_t tokens = *rc::gen::inRange(1, 5000), window = *rc::gen::inRange(0, 4);
    const Router r{64, *rc::gen::inRange<std::int64_t>(1, 9)};
    const auto shares = load_shares(g, r, 3, window);
    RC_ASSERT(std::abs(sum(shares) - 1) < 1e-9);
    RC_ASSERT(*std::ranges::max_element(shares) <= 1.0 / static_cast<double>(r.top_k) + 1e-9);
    const auto c = sampled_counts(g, r, 2, tokens, window);
    for (std::int64_t l = 0; l < 2; ++l) {
      RC_ASSERT(sum(c.row(l)) == static_cast<double>(tokens * r.top_k));
      for (double n : c.row(l)) RC_ASSERT(n >= 0 && n <= static_cast<double>(tokens) && n == std::floor(n));
    }
  }));
}

TEST_CASE("loads are a function of seed, layer and window", "[model][routing]") {
  for (LoadKind k : kKindsOfLoad) {
    INFO(name(k));
    const auto g = generator(k);
    CHECK(load_shares(g, kV3, 5, 3) == load_shares(g, kV3, 5, 3));
    const bool moves = k == LoadKind::drifting || k == LoadKind::domains;
    CHECK((load_shares(g, kV3, 5, 3) != load_shares(g, kV3, 5, 4)) == moves);
    if (k == LoadKind::uniform) continue;
    CHECK(load_shares(g, kV3, 5) != load_shares(g, kV3, 6));
    CHECK(load_shares(g, kV3, 5) != load_shares(generator(k, 2), kV3, 5));
  }
}

TEST_CASE("drift forgets at the rate that was asked for", "[model][routing]") {
  LoadGenerator g = generator(LoadKind::drifting);
  g.spread = 0.2, g.memory = 0.8;
  double one = 0, three = 0;
  for (std::int64_t l = 0; l < 20; ++l) {
    one += correlation(load_shares(g, kV3, l, 0), load_shares(g, kV3, l, 1)) / 20;
    three += correlation(load_shares(g, kV3, l, 0), load_shares(g, kV3, l, 3)) / 20;
  }
  CHECK(one == Approx(0.8).margin(0.03));
  CHECK(three == Approx(0.512).margin(0.05));
}

TEST_CASE("a zipf law of the i-th expert holds", "[model][routing]") {
  LoadGenerator g = generator(LoadKind::zipf);
  g.exponent = 0.4;
  auto v = load_shares(g, kV3, 0);
  std::ranges::sort(v, std::greater<>());
  CHECK(v[0] / v[15] == Approx(std::pow(16, 0.4)));
  CHECK(v[0] / v[255] == Approx(std::pow(256, 0.4)));
}

TEST_CASE("tokens sent through the gate are counted one by one", "[model][routing]") {
  const auto c = routed_counts(generator(LoadKind::zipf), kV3, 2, 300);
  for (std::int64_t l = 0; l < 2; ++l) CHECK(sum(c.row(l)) == 300 * 8);
}
