#include "kernels/cross_entropy_reference.hpp"

#include <numeric>

#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

TEST_CASE("equal logits cost the logarithm of the vocabulary", "[kernels][cross_entropy]") {
  std::vector<Bf16> logits(64, bf16_from_float(3.0F));
  const int target = 5;
  const reference::CrossEntropy out =
      reference::cross_entropy({.tokens = 1, .vocab = 64, .logits = logits.data(), .targets = &target});
  CHECK(out.loss[0] == Approx(std::log(64.0)));
  CHECK(out.gradient[5] == Approx(1.0 / 64 - 1));
  CHECK(out.gradient[6] == Approx(1.0 / 64));
}

TEST_CASE("the gradient of the logits is the slope of the loss and sums to zero", "[kernels][cross_entropy]") {
  std::vector<Bf16> logits = normal_bf16(2 * 32, 1);
  const int targets[] = {31, -100};
  const CrossEntropyArgs args{
      .tokens = 2, .vocab = 32, .logits = logits.data(), .targets = targets, .gradient_scale = 0.5F};
  const reference::CrossEntropy out = reference::cross_entropy(args);
  const auto loss = [&] { return 0.5 * reference::cross_entropy(args).loss[0]; };
  for (const std::size_t i : {0U, 31U}) CHECK(out.gradient[i] == Approx(slope(logits[i], loss)).epsilon(1e-3));
  CHECK(std::accumulate(out.gradient.begin(), out.gradient.begin() + 32, 0.0) == Approx(0.0).margin(1e-12));
  CHECK(out.loss[1] == 0);  // ignored
  CHECK(out.gradient[32] == 0);
}
