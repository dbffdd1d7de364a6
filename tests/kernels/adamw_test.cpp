#include "kernels/adamw_reference.hpp"

#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

struct OneParameter {
  float master = 2.0F, gradient = -0.3F;
  Bf16 m = 0, v = 0;
  AdamWArgs args() {
    return {.parameters = 1,
            .master = &master,
            .gradient = &gradient,
            .m = &m,
            .v = &v,
            .rate = 0.01F,
            .epsilon = 0.0F,
            .decay = 0.0F};
  }
};

}  // namespace

TEST_CASE("AdamW's first step is the rate against the gradient's sign", "[kernels][adamw]") {
  OneParameter p;
  CHECK(reference::adamw(p.args()).master[0] == Approx(2.01));
  AdamWArgs decayed = p.args();
  decayed.decay = 0.5F;
  CHECK(reference::adamw(decayed).master[0] == Approx(2.0 * (1 - 0.005) + 0.01));
}

TEST_CASE("clipping scales the gradient to the largest norm", "[kernels][adamw]") {
  OneParameter p;
  const float norm = 4.0F;
  AdamWArgs args = p.args();
  args.norm = &norm;
  args.most_norm = 1.0F;
  CHECK(reference::adamw(args).m[0] == Approx(0.1 * -0.3 / 4));
  args.most_norm = 8.0F;  // large enough: nothing is clipped
  CHECK(reference::adamw(args).m[0] == Approx(0.1 * -0.3));
}

TEST_CASE("later steps correct the moments by less", "[kernels][adamw]") {
  OneParameter p;
  p.m = bf16_from_float(0.5F), p.v = bf16_from_float(1.0F);
  AdamWArgs args = p.args();
  args.step = 10;
  const double m = 0.9 * 0.5 + 0.1 * -0.3, v = 0.95 + 0.05 * 0.09;
  const double expected = 2 - 0.01 * m / (1 - std::pow(0.9, 10)) / std::sqrt(v / (1 - std::pow(0.95, 10)));
  CHECK(reference::adamw(args).master[0] == Approx(expected).epsilon(1e-6));
}

TEST_CASE("the global norm is the root of the sum of squares", "[kernels][adamw]") {
  const std::vector<float> g = {3, 0, 0, 4};
  CHECK(reference::global_norm({.parameters = 4, .gradient = g.data()}) == Approx(5.0));
}
