#include "model/split.hpp"

#include <rapidcheck.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "model/layer.hpp"
#include "tests/catch.hpp"
#include "tests/presets.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;
using tests::preset;
using Counts = std::vector<std::int64_t>;

namespace {

Plan plan(std::int64_t pp, const std::string& split, Counts list = {}) {
  Plan p;
  p.pp = pp;
  p.split = split;
  p.split_layers = std::move(list);
  return p;
}

Counts counts(const Transformer& t, const Plan& p, std::int64_t sequence = 4096) {
  Counts c;
  for (const auto& s : split_layers(t, p, sequence)) c.push_back(s.count);
  return c;
}

Counts repeated(std::int64_t value, std::size_t times) { return Counts(times, value); }

double forward_flops(const Works& works) {
  return std::accumulate(works.begin(), works.end(), 0.0, [](double f, const Work& w) { return f + flops(w.shape); });
}

/// Largest FLOPs of a stage, for a model without MTP.
double largest(const Transformer& t, const Plan& p, const Counts& c) {
  double most = 0;
  std::int64_t layer = 0;
  for (std::size_t s = 0; s < c.size(); ++s) {
    double f = s + 1 == c.size() ? forward_flops(head_work(t, p, 4096, 8).forward) : 0;
    for (std::int64_t i = 0; i < c[s]; ++i, ++layer) {
      const auto w = layer_work(t, p, layer, 4096, 8);
      f += forward_flops(w.attn_f) + forward_flops(w.mlp_f);
    }
    most = std::max(most, f);
  }
  return most;
}

}  // namespace

TEST_CASE("V3's 61 layers on 16 stages: MTP and two heads weigh as four layers", "[model][split]") {
  auto expected = repeated(4, 16);
  expected.back() = 1;
  CHECK(counts(preset("deepseek-v3"), plan(16, "balanced")) == expected);
}

TEST_CASE("where the head alone sets the maximum, the other stages are still even", "[model][split]") {
  auto p = plan(16, "balanced");
  p.schedule = Schedule::dualpipe_v;
  auto expected = repeated(2, 32);
  std::fill(expected.end() - 3, expected.end(), 1);
  CHECK(counts(preset("deepseek-v3"), p) == expected);
}

TEST_CASE("Llama's 126 layers on 64 stages: two each, one less beside the head and in one more", "[model][split]") {
  auto p = plan(8, "balanced");
  p.schedule = Schedule::interleaved;
  p.vp = 8;
  const auto c = counts(preset("llama-3.1-405b"), p, 8192);
  CHECK(c.size() == 64);
  CHECK(std::accumulate(c.begin(), c.end(), std::int64_t{0}) == 126);
  CHECK(std::ranges::max(c) == 2);
  CHECK(c.front() == 2);
  CHECK(c.back() == 1);
}

TEST_CASE("a uniform split puts the longer stages first", "[model][split]") {
  CHECK(counts(preset("deepseek-v3"), plan(16, "uniform")) == Counts{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3});
}

TEST_CASE("stages follow each other, embedding first, head last", "[model][split]") {
  const auto s = split_layers(preset("deepseek-v3"), plan(4, "list", {0, 30, 31, 0}), 4096);
  REQUIRE(s.size() == 4);
  CHECK((s[0].embedding && !s[1].embedding && s[3].head && !s[2].head));
  CHECK(s[2].first == 30);
  CHECK(s[3].first == 61);
}

TEST_CASE("a split that cannot be done is refused", "[model][split]") {
  const auto t = preset("deepseek-v3");
  const auto refused = [&](const Plan& p, const char* why) { CHECK_THROWS_WITH(counts(t, p), ContainsSubstring(why)); };
  refused(plan(4, "list", {20, 20, 20, 20}), "plan.split: the list sums to 80 layers, the model has 61");
  refused(plan(4, "list", {30, 31}), "plan.split: the list has 2 entries for 4 stages");
  refused(plan(4, "list", {30, 0, 30, 1}), "plan.split: stage 1 has 0 layers");
  refused(plan(4, "list", {-1, 30, 30, 2}), "plan.split: stage 0 has -1 layers");
  refused(plan(64, "balanced"), "plan.pp: 61 layers cannot fill 64 stages");
  refused(plan(4, "balancd"), "plan.split: \"balancd\"");
}

TEST_CASE("no move of a layer between neighbouring stages lowers a balanced split's maximum",
          "[model][split][property]") {
  auto t = preset("deepseek-v3");
  t.num_nextn_predict_layers = 0;
  CHECK(rc::check("balanced", [&] {
    t.num_hidden_layers = *rc::gen::inRange<std::int64_t>(4, 40);
    const auto p = plan(*rc::gen::inRange<std::int64_t>(2, t.num_hidden_layers), "balanced");
    const auto c = counts(t, p);
    RC_ASSERT(std::ranges::min(c) >= 1);
    RC_ASSERT(std::accumulate(c.begin(), c.end(), std::int64_t{0}) == t.num_hidden_layers);
    const double most = largest(t, p, c);
    for (std::size_t s = 0; s + 1 < c.size(); ++s)
      for (const std::int64_t move : {-1, 1}) {
        auto other = c;
        other[s] += move, other[s + 1] -= move;
        if (std::ranges::min(other) >= 1) RC_ASSERT(largest(t, p, other) >= most);
      }
  }));
}
