#include "kernels/swiglu_reference.hpp"

#include <numeric>

#include "kernels/quantize_reference.hpp"
#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

TEST_CASE("SwiGLU is silu(gate) times up times the row's weight", "[kernels][swiglu]") {
  std::vector<Bf16> x(256, 0);
  x[0] = bf16_from_float(1.0F), x[128] = bf16_from_float(3.0F);
  x[1] = bf16_from_float(-30.0F), x[129] = bf16_from_float(3.0F);
  const float weight = 0.5F;
  const std::vector<double> h = reference::swiglu({.rows = 1, .cols = 128, .gate_up = x.data(), .weight = &weight});
  CHECK(h[0] == Approx(0.5 * 3 / (1 + std::exp(-1.0))));
  CHECK(std::fabs(h[1]) < 1e-10);
  CHECK(h[2] == 0);
}

TEST_CASE("SwiGLU's backward is the slope of its forward", "[kernels][swiglu]") {
  std::vector<E4m3> gate_up(256 * 128);
  for (std::size_t i = 0; i < gate_up.size(); ++i) gate_up[i] = e4m3_from_float(normal(1, static_cast<unsigned>(i))[0]);
  const std::vector<float> scales(2 * 128, 0.5F), weight = normal(128, 3);
  const std::vector<Bf16> d_h = normal_bf16(128 * 128, 4);
  const reference::SwiGluGradients g = reference::swiglu_backward({.rows = 128,
                                                                   .cols = 128,
                                                                   .gate_up = gate_up.data(),
                                                                   .gate_up_scales = scales.data(),
                                                                   .scale_stride = 128,
                                                                   .d_h = d_h.data(),
                                                                   .weight = weight.data()});
  const auto loss = [&](std::size_t row, double gate, double up, double w) {
    return gate / (1 + std::exp(-gate)) * up * w * float_from_bf16(d_h[row * 128]);
  };
  for (const std::size_t row : {0U, 17U, 127U}) {
    const double gate = 0.5 * double{float_from_e4m3(gate_up[row * 256])},
                 up = 0.5 * double{float_from_e4m3(gate_up[row * 256 + 128])};
    const double w = weight[row], step = 1e-6;
    CHECK(g.d_gate_up[row * 256] ==
          Approx((loss(row, gate + step, up, w) - loss(row, gate - step, up, w)) / (2 * step)).margin(1e-6));
    CHECK(g.d_gate_up[row * 256 + 128] ==
          Approx((loss(row, gate, up + step, w) - loss(row, gate, up - step, w)) / (2 * step)).margin(1e-6));
    double by_weight = 0;  // d_weight is d_h . h / weight
    for (std::size_t c = 0; c < 128; ++c) by_weight += float_from_bf16(d_h[row * 128 + c]) * g.h[row * 128 + c] / w;
    CHECK(g.d_weight[row] == Approx(by_weight));
  }
}
