#include "kernels/rms_norm_reference.hpp"

#include <numeric>

#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

TEST_CASE("a normalised row has a mean square of one", "[kernels][rms_norm]") {
  const std::vector<Bf16> x = normal_bf16(64, 1), ones(64, bf16_from_float(1.0F));
  const reference::Normed n =
      reference::rms_norm({.rows = 1, .cols = 64, .x = x.data(), .weight = ones.data(), .epsilon = 0.0F});
  CHECK(std::inner_product(n.y.begin(), n.y.end(), n.y.begin(), 0.0) / 64 == Approx(1.0));
}

TEST_CASE("RMSNorm's backward is the slope of its forward", "[kernels][rms_norm]") {
  const std::int64_t rows = 3, cols = 64;
  std::vector<Bf16> x = normal_bf16(192, 1), weight = normal_bf16(64, 2);
  const std::vector<Bf16> d_y = normal_bf16(192, 3);
  const RmsNormArgs forward{.rows = rows, .cols = cols, .x = x.data(), .weight = weight.data()};
  const auto loss = [&] {
    const std::vector<double> y = reference::rms_norm(forward).y;
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * float_from_bf16(d_y[i]);
    return sum;
  };
  std::vector<float> rstd;
  for (const double r : reference::rms_norm(forward).rstd) rstd.push_back(static_cast<float>(r));
  const reference::NormGradients g = reference::rms_norm_backward(
      {.rows = rows, .cols = cols, .x = x.data(), .weight = weight.data(), .rstd = rstd.data(), .d_y = d_y.data()});
  for (const std::size_t i : {0U, 70U, 191U}) CHECK(g.d_x[i] == Approx(slope(x[i], loss)).epsilon(0.01).margin(0.005));
  for (const std::size_t c : {0U, 63U}) CHECK(g.d_weight[c] == Approx(slope(weight[c], loss)).epsilon(1e-4));
}
