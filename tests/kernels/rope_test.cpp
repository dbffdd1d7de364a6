#include "kernels/rope_reference.hpp"

#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

/// Two positions of two rows each: no turn, then a quarter turn for pair 0 and a half for the others.
struct Turns {
  std::vector<Bf16> x = normal_bf16(4 * 16, 1);
  std::vector<float> cosine, sine;
  Turns() : cosine(16, 1.0F), sine(16, 0.0F) {
    cosine[8] = 0.0F, sine[8] = 1.0F;
    for (std::size_t i = 9; i < 16; ++i) cosine[i] = -1.0F;
  }
  RopeArgs args(bool interleaved, bool inverse) {
    return {.rows = 4,
            .cols = 16,
            .row_stride = 16,
            .rows_per_position = 2,
            .x = x.data(),
            .cosine = cosine.data(),
            .sine = sine.data(),
            .interleaved = interleaved,
            .inverse = inverse};
  }
};

}  // namespace

TEST_CASE("rope leaves position 0 and turns the pairs of the others", "[kernels][rope]") {
  Turns t;
  const bool interleaved = GENERATE(true, false);
  const std::vector<double> y = reference::rope(t.args(interleaved, false));
  for (std::size_t i = 0; i < 32; ++i) CHECK(y[i] == float_from_bf16(t.x[i]));
  const std::size_t partner = interleaved ? 1 : 8;
  CHECK(y[32] == -float_from_bf16(t.x[32 + partner]));  // a quarter turn: (x, y) -> (-y, x)
  CHECK(y[32 + partner] == float_from_bf16(t.x[32]));
  CHECK(y[47] == -float_from_bf16(t.x[47]));
}

TEST_CASE("the inverse rotation undoes rope", "[kernels][rope]") {
  Turns t;
  const std::vector<Bf16> before = t.x;
  const std::vector<double> y = reference::rope(t.args(true, false));
  for (std::size_t i = 0; i < y.size(); ++i) t.x[i] = bf16_from_float(static_cast<float>(y[i]));
  const std::vector<double> back = reference::rope(t.args(true, true));
  for (std::size_t i = 0; i < back.size(); ++i) CHECK(back[i] == float_from_bf16(before[i]));
}
