#include "kernels/gate_reference.hpp"

#include <set>

#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

float logit(double score) { return static_cast<float>(std::log(score / (1 - score))); }

}  // namespace

TEST_CASE("a group is chosen by its two best, an expert only in an open group", "[kernels][gate]") {
  const Gating g{.experts = 8, .top_k = 2, .groups = 4, .top_groups = 1, .scale = 2.5F};
  std::vector<float> logits(8, logit(0.1));
  logits[1] = logit(0.9);                          // group 0: 0.9 + 0.1
  logits[6] = logit(0.6), logits[7] = logit(0.5);  // group 3: 1.1, though no best expert
  const reference::Gated out = reference::gate({.gating = g, .tokens = 1, .logits = logits.data()});
  CHECK(out.experts == std::vector<int>{6, 7});
  CHECK(out.weights[0] == Approx(2.5 * 0.6 / 1.1));
  CHECK(out.weights[1] == Approx(2.5 * 0.5 / 1.1));
}

TEST_CASE("the bias steers the choice and leaves the weights", "[kernels][gate]") {
  const Gating g{.experts = 4, .top_k = 1, .normalise = false};
  const std::vector<float> logits = {logit(0.8), logit(0.2), logit(0.1), logit(0.1)}, bias = {0, 0, 1, 0};
  CHECK(reference::gate({.gating = g, .tokens = 1, .logits = logits.data()}).experts[0] == 0);
  const reference::Gated out =
      reference::gate({.gating = g, .tokens = 1, .logits = logits.data(), .bias = bias.data()});
  CHECK(out.experts[0] == 2);
  CHECK(out.weights[0] == Approx(0.1));
}

TEST_CASE("ties go to the lower index and are known as ties", "[kernels][gate]") {
  const Gating g{.experts = 4, .top_k = 2, .scoring = Scoring::softmax};
  const std::vector<float> logits = {1, 2, 1, 0};
  const reference::Gated out = reference::gate({.gating = g, .tokens = 1, .logits = logits.data()});
  CHECK(out.experts == std::vector<int>{1, 0});
  const int other[] = {1, 2}, wrong[] = {1, 3}, twice[] = {1, 1};
  CHECK(reference::same_within_ties(out, g, 0, other, 1e-9));
  CHECK_FALSE(reference::same_within_ties(out, g, 0, wrong, 1e-9));
  CHECK_FALSE(reference::same_within_ties(out, g, 0, twice, 1e-9));
}

TEST_CASE("the gate's backward is the slope of its weights", "[kernels][gate]") {
  const Gating g{.experts = 8,
                 .top_k = 3,
                 .scoring = GENERATE(Scoring::sigmoid, Scoring::softmax),
                 .normalise = GENERATE(true, false),
                 .scale = 2.0F};
  std::vector<float> logits = normal(8, 5);
  const std::vector<float> d_weights = normal(3, 6);
  const auto forward = [&] { return reference::gate({.gating = g, .tokens = 1, .logits = logits.data()}); };
  const auto loss = [&] {
    const std::vector<double> w = forward().weights;
    return w[0] * d_weights[0] + w[1] * d_weights[1] + w[2] * d_weights[2];
  };
  const std::vector<int> experts = forward().experts;
  const std::vector<double> d = reference::gate_backward(
      {.gating = g, .tokens = 1, .logits = logits.data(), .experts = experts.data(), .d_weights = d_weights.data()});
  for (std::size_t e = 0; e < 8; ++e) {
    const float kept = logits[e], step = 0x1p-10F;
    logits[e] = kept + step;
    const double up = loss();
    logits[e] = kept - step;
    const double down = loss();
    logits[e] = kept;
    CHECK(d[e] == Approx((up - down) / (2.0 * step)).epsilon(1e-3).margin(1e-5));
  }
}

TEST_CASE("the bias falls for busy experts and rises for idle ones", "[kernels][gate]") {
  const std::vector<int> counts = {5, 1, 3};
  std::vector<float> bias = {0.5F, 0.5F, 0.5F};
  const std::vector<float> out =
      reference::gate_bias_update({.experts = 3, .counts = counts.data(), .bias = bias.data(), .speed = 0.25F});
  CHECK(out == std::vector<float>{0.25F, 0.75F, 0.5F});
}
