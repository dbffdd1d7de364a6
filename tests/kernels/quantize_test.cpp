#include <random>
#include <vector>

#include "kernels/quantize_reference.hpp"
#include "kernels/reference.hpp"
#include "tests/catch.hpp"

using namespace railcast::kernels;

namespace {

std::vector<Bf16> random_bf16(std::size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> draw(0.0F, 3.0F);
  std::vector<Bf16> x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(bf16_from_float(draw(random)));
  return x;
}

struct Quantised1d {
  std::vector<E4m3> q, q_t;
  std::vector<float> scales, scales_t;
  QuantizeStats stats;
  Quantised1d(const std::vector<Bf16>& x, std::int64_t rows, std::int64_t cols, ScaleFormat format)
      : q(x.size()), q_t(x.size()), scales(x.size() / 128), scales_t(x.size() / 128) {
    reference::quantize({.rows = rows,
                         .cols = cols,
                         .x = x.data(),
                         .q = q.data(),
                         .scales = scales.data(),
                         .scale_stride = rows,
                         .q_t = q_t.data(),
                         .scales_t = scales_t.data(),
                         .format = format,
                         .stats = &stats});
  }
};

}  // namespace

TEST_CASE("the layer's quantisation is the GEMMs' quantisation", "[kernels][quantize]") {
  const std::int64_t rows = 128, cols = 384;
  const std::vector<Bf16> x = random_bf16(static_cast<std::size_t>(rows * cols));
  std::vector<float> values, turned(x.size());
  for (const Bf16 v : x) values.push_back(float_from_bf16(v));
  for (std::size_t i = 0; i < x.size(); ++i) turned[i % 384 * 128 + i / 384] = values[i];
  const Quantised1d mine(x, rows, cols, ScaleFormat::fp32);
  const Quantised straight = quantise_tiles(values.data(), rows, cols),
                  across = quantise_tiles(turned.data(), cols, rows);
  CHECK(mine.q == straight.data);
  CHECK(mine.scales == straight.scales);
  CHECK(mine.q_t == across.data);
  CHECK(mine.scales_t == across.scales);
}

TEST_CASE("a power-of-two scale is the smallest that holds the group", "[kernels][quantize]") {
  const std::vector<Bf16> x = random_bf16(128 * 128);
  const Quantised1d exact(x, 128, 128, ScaleFormat::fp32), rounded(x, 128, 128, ScaleFormat::power_of_two);
  for (std::size_t i = 0; i < exact.scales.size(); ++i) {
    int exponent = 0;
    CHECK(std::frexp(rounded.scales[i], &exponent) == 0.5F);
    CHECK(rounded.scales[i] >= exact.scales[i]);
    CHECK(rounded.scales[i] < 2 * exact.scales[i]);
  }
  CHECK(group_scale(448.0F, ScaleFormat::power_of_two).scale == 1.0F);
  CHECK(group_scale(448.5F, ScaleFormat::power_of_two).scale == 2.0F);
  CHECK(group_scale(448.5F, ScaleFormat::power_of_two).inverse == 0.5F);
}

TEST_CASE("quantisation counts what it saturates and flushes", "[kernels][quantize]") {
  std::vector<Bf16> x(128 * 128, 0);
  x[0] = bf16_from_float(448.0F);
  x[1] = bf16_from_float(-448.0F);
  x[2] = bf16_from_float(0x1p-12F);  // below half of the smallest step, 2^-9
  x[3] = bf16_from_float(0x1p-9F);
  const Quantised1d q(x, 128, 128, ScaleFormat::fp32);
  CHECK(float_of(q.stats.amax_bits) == 448.0F);
  CHECK(q.stats.at_max == 2);
  CHECK(q.stats.flushed == 1);
  CHECK(q.q[3] == 1);
  CHECK(q.scales[1] == kSmallestAmax / 448.0F);  // a silent group
}

TEST_CASE("a weight's 128x128 block has one scale in both orientations", "[kernels][quantize]") {
  const std::int64_t n = 256, k = 128;
  const std::vector<Bf16> w = random_bf16(static_cast<std::size_t>(n * k));
  std::vector<float> values;
  for (const Bf16 v : w) values.push_back(float_from_bf16(v));
  std::vector<E4m3> q(w.size()), q_t(w.size());
  std::vector<float> scales(2), scales_t(2);
  reference::quantize_weight({.n = n,
                              .k = k,
                              .w = w.data(),
                              .q = q.data(),
                              .scales = scales.data(),
                              .q_t = q_t.data(),
                              .scales_t = scales_t.data()});
  const Quantised expected = quantise_blocks(values.data(), n, k);
  CHECK(q == expected.data);
  CHECK(scales == expected.scales);
  CHECK(scales_t == expected.scales);
  for (std::size_t i = 0; i < w.size(); ++i) REQUIRE(q_t[i % 128 * 256 + i / 128] == q[i]);
}

TEST_CASE("NaN stays NaN and leaves the scale alone; an infinity takes its group with it", "[kernels][quantize]") {
  for (const ScaleFormat format : {ScaleFormat::fp32, ScaleFormat::power_of_two}) {
    std::vector<Bf16> x(128 * 128, bf16_from_float(1.0F));
    x[3] = 0x7FC0;    // row 0: a NaN
    x[128] = 0xFF80;  // row 1: -infinity
    const Quantised1d got(x, 128, 128, format);
    CHECK((got.q[3] & 0x7F) == 0x7F);
    CHECK((got.q[4] == 0x7E) == (format == ScaleFormat::fp32));
    CHECK(got.scales[0] == got.scales[2]);
    CHECK(std::isinf(got.scales[1]));
    CHECK((got.q[128] & 0x7F) == 0x7F);
    CHECK(int{got.q[129]} == 0);
    CHECK(got.stats.flushed == 127);
    const unsigned long long full = format == ScaleFormat::fp32 ? 128 * 127 - 1 : 0;  // a power of two leaves room
    CHECK(got.stats.at_max == full + 2);                                              // and what is NaN
  }
}
