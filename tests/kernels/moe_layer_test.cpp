#include "kernels/moe_layer_reference.hpp"

#include <functional>

#include "kernels/requantize_reference.hpp"
#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

std::vector<double> numbers(std::size_t count, unsigned seed) {
  const std::vector<float> x = normal(count, seed);
  return {x.begin(), x.end()};
}

constexpr reference::ExpertSize kSize{5, 3};

/// The slope of what a choice adds to the loss (its weighted output times d_out) in one number.
double loss_slope(double& x, const std::function<double()>& loss) {
  const double kept = x, step = 1e-5;
  x = kept + step;
  const double up = loss();
  x = kept - step;
  const double down = loss();
  x = kept;
  return (up - down) / (2 * step);
}

}  // namespace

TEST_CASE("an expert's gradients are the slopes of its output", "[kernels][moe_layer]") {
  reference::Expert expert{numbers(30, 1), numbers(15, 2)};
  std::vector<double> x = numbers(5, 3);
  const std::vector<double> d_out = numbers(5, 4);
  double weight = 0.7;
  const auto loss = [&] {
    const std::vector<double> out = reference::moe_choice(kSize, expert, x, d_out, weight).out;
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += out[i] * d_out[i];
    return sum;
  };
  reference::Expert gradients{std::vector<double>(30), std::vector<double>(15)};
  const reference::ChoicePass pass = reference::moe_choice(kSize, expert, x, d_out, weight, &gradients);
  CHECK(pass.d_weight == Approx(loss_slope(weight, loss)));
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(pass.d_x[i] == Approx(loss_slope(x[i], loss)).epsilon(1e-4));
  for (const std::size_t i : {0, 4, 17, 29})
    CHECK(gradients.w1[i] == Approx(loss_slope(expert.w1[i], loss)).epsilon(1e-4));
  for (const std::size_t i : {0, 7, 14}) CHECK(gradients.w2[i] == Approx(loss_slope(expert.w2[i], loss)).epsilon(1e-4));
}

TEST_CASE("requantising powers of two along rows keeps every value", "[kernels][requantize]") {
  std::vector<E4m3> q(128 * 256), q_t(q.size());
  for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<E4m3>(0x38 + (i * 7 % 8 << 3));  // 1 .. 128
  std::vector<float> scales(2 * 128, 0.5F), scales_t(256);
  reference::requantize({.rows = 128,
                         .cols = 256,
                         .q = q.data(),
                         .scales = scales.data(),
                         .scale_stride = 128,
                         .q_t = q_t.data(),
                         .scales_t = scales_t.data(),
                         .format = ScaleFormat::power_of_two});
  for (std::size_t r = 0; r < 128; ++r)
    for (std::size_t c = 0; c < 256; ++c)
      REQUIRE(float_from_e4m3(q_t[c * 128 + r]) * scales_t[c] == float_from_e4m3(q[r * 256 + c]) * 0.5F);
}
