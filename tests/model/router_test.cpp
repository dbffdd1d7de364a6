#include "model/router.hpp"

#include <rapidcheck.h>
#include <algorithm>
#include <numeric>

#include "model/random.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

const Router kV3{256, 8, 8, 4, true};

std::vector<double> logits_of(std::uint64_t token, std::size_t n) {
  std::vector<double> v(n);
  for (std::size_t e = 0; e < n; ++e) v[e] = normal_of(hash_of(7, token, e));
  return v;
}

double biased_score(double logit, double bias) { return 1 / (1 + std::exp(-logit)) + bias; }

/// V3's gate by its definition: all groups sorted by the sum of their two best, all experts of the kept ones sorted.
std::vector<std::int32_t> by_definition(const Router& r, const std::vector<double>& logits,
                                        const std::vector<double>& bias) {
  const std::int64_t size = r.experts / r.groups;
  std::vector<std::pair<double, std::int64_t>> groups, experts;
  std::vector<double> score;
  for (std::size_t e = 0; e < logits.size(); ++e) score.push_back(biased_score(logits[e], bias[e]));
  for (std::int64_t g = 0; g < r.groups; ++g) {
    std::vector<double> own(score.begin() + g * size, score.begin() + (g + 1) * size);
    std::ranges::sort(own, std::greater<>());
    groups.push_back({-(size > 1 ? own[0] + own[1] : own[0]), g});
  }
  std::ranges::sort(groups);
  for (std::int64_t i = 0; i < r.top_groups; ++i)
    for (std::int64_t e = groups[static_cast<std::size_t>(i)].second * size, end = e + size; e < end; ++e)
      experts.push_back({-score[static_cast<std::size_t>(e)], e});
  std::ranges::sort(experts);
  std::vector<std::int32_t> chosen;
  for (std::int64_t k = 0; k < r.top_k; ++k)
    chosen.push_back(static_cast<std::int32_t>(experts[static_cast<std::size_t>(k)].second));
  return chosen;
}

}  // namespace

TEST_CASE("V3's gate picks what its definition says", "[model][router]") {
  TokenGate gate(kV3);
  for (std::uint64_t token = 0; token < 200; ++token) {
    std::vector<double> bias(256);
    for (std::size_t e = 0; e < 256; ++e) bias[e] = 0.1 * normal_of(hash_of(9, token, e));
    const auto logits = logits_of(token, 256);
    const auto chosen = gate.choose(logits, bias);
    CHECK(std::vector(chosen.begin(), chosen.end()) == by_definition(kV3, logits, bias));
  }
}

TEST_CASE("any gate agrees with its definition", "[model][router]") {
  CHECK(rc::check("groups, top groups and top k of any size", [] {
    const std::int64_t groups = *rc::gen::inRange(1, 7), size = *rc::gen::inRange(1, 9);
    const std::int64_t kept = *rc::gen::inRange<std::int64_t>(1, groups + 1);
    const Router r{groups * size, *rc::gen::inRange<std::int64_t>(1, kept * size + 1), groups, kept, true};
    const auto logits = logits_of(*rc::gen::arbitrary<std::uint64_t>(), static_cast<std::size_t>(r.experts));
    TokenGate gate(r);
    const auto chosen = gate.choose(logits);
    RC_ASSERT(std::vector(chosen.begin(), chosen.end()) ==
              by_definition(r, logits, std::vector<double>(logits.size())));
  }));
}

TEST_CASE("weights are the scores without bias over their sum", "[model][router]") {
  TokenGate gate({4, 2, 1, 1, true});
  const std::vector<double> logits{0, 1, -1, 0.5}, bias{10, 0, 10, 0};
  const auto chosen = gate.choose(logits, bias);
  REQUIRE(std::vector(chosen.begin(), chosen.end()) == std::vector<std::int32_t>{0, 2});
  const double a = biased_score(0, 0), b = biased_score(-1, 0);
  CHECK(gate.weights()[0] == Approx(a / (a + b)));
  CHECK(gate.weights()[1] == Approx(b / (a + b)));
}

TEST_CASE("a softmax gate picks the largest logits and weighs them by their softmax", "[model][router]") {
  TokenGate gate({4, 2});
  const auto chosen = gate.choose(std::vector<double>{1, 3, 2, 0});
  CHECK(std::vector(chosen.begin(), chosen.end()) == std::vector<std::int32_t>{1, 2});
  CHECK(gate.weights()[0] == Approx(std::exp(1.0) / (std::exp(1.0) + 1)));
}

TEST_CASE("ties go to the lowest expert and group", "[model][router]") {
  TokenGate gate({8, 3, 4, 2, true});
  const auto chosen = gate.choose(std::vector<double>(8, 0.25));
  CHECK(std::vector(chosen.begin(), chosen.end()) == std::vector<std::int32_t>{0, 1, 2});
}

TEST_CASE("an impossible gate is refused", "[model][router][bad]") {
  CHECK_THROWS_WITH(TokenGate({256, 8, 8, 9, true}), Catch::Matchers::Contains("9 groups of 8"));
  CHECK_THROWS_WITH(TokenGate({256, 8, 7, 4, true}), Catch::Matchers::Contains("do not divide over 7 groups"));
  CHECK_THROWS_WITH(TokenGate({16, 5, 8, 2, true}), Catch::Matchers::Contains("top_k 5 of the 4"));
  CHECK_THROWS_AS(TokenGate({16, 2}).choose(std::vector<double>(15)), std::invalid_argument);
}

TEST_CASE("sampled tokens follow the shares, count for count", "[model][router]") {
  std::vector<double> shares(16, 0.8 / 15);
  shares[3] = 0.2;
  const auto n = counts_of(sample_routes({16, 1}, shares, 20000, 5), 16);
  CHECK(std::accumulate(n.begin(), n.end(), 0.0) == 20000);
  CHECK(n[3] == Approx(4000).epsilon(0.05));
  CHECK(n == counts_of(sample_routes({16, 1}, shares, 20000, 5), 16));
  CHECK(n != counts_of(sample_routes({16, 1}, shares, 20000, 6), 16));
}

TEST_CASE("the bias update levels a skewed layer", "[model][router]") {
  std::vector<double> shares(32, 1.0 / 64), bias;
  for (std::size_t e = 0; e < 8; ++e) shares[e] = 5.0 / 64;
  const Router r{32, 4, 4, 2, true};
  const auto steps = balance_by_bias(r, shares, {0.01, 200, 512}, 1, bias);
  REQUIRE(steps.size() == 200);
  CHECK(steps.front().imbalance > 2);
  double last = 0;
  for (std::size_t i = 180; i < 200; ++i) last += steps[i].imbalance / 20;
  CHECK(last < 1.35);  // 512 tokens' own noise is about a fifth
  for (std::size_t e = 0; e < 8; ++e) CHECK(bias[e] < *std::max_element(bias.begin() + 8, bias.end()));
}
