#include "kernels/quantize_reference.hpp"

#include <algorithm>

namespace railcast::kernels::reference {
namespace {

/// Element i of a group lies at first[i * step].
float amax_of(const Bf16* first, std::int64_t step) {
  float amax = 0;
  for (int i = 0; i < kScaleGroup; ++i) amax = std::fmax(amax, std::fabs(float_from_bf16(first[i * step])));
  return amax;
}

/// Rounds a group; returns the scale to store. Codes are written 1 apart.
float round_group(const Bf16* first, std::int64_t step, ScaleFormat format, E4m3* codes) {
  const GroupScale s = group_scale(amax_of(first, step), format);
  for (int i = 0; i < kScaleGroup; ++i) codes[i] = e4m3_from_float(float_from_bf16(first[i * step]) * s.inverse);
  return s.scale;
}

void count(const Bf16* x, const E4m3* codes, QuantizeStats& stats) {
  stats.amax_bits = std::max(stats.amax_bits, bits_of(amax_of(x, 1)));
  for (int i = 0; i < kScaleGroup; ++i) {
    stats.at_max += (codes[i] & 0x7F) >= 0x7E;
    stats.flushed += (codes[i] & 0x7F) == 0 && (x[i] & 0x7FFF) != 0;
  }
}

}  // namespace

void quantize(const QuantizeArgs& a) {
  for (std::int64_t r = 0; r < a.rows; ++r) {
    for (std::int64_t g = 0; g < a.cols / kScaleGroup; ++g) {
      const std::int64_t at = r * a.cols + g * kScaleGroup;
      a.scales[g * a.scale_stride + r] = round_group(a.x + at, 1, a.format, a.q + at);
      if (a.stats != nullptr) count(a.x + at, a.q + at, *a.stats);
    }
  }
  if (a.q_t == nullptr) return;
  for (std::int64_t c = 0; c < a.cols; ++c) {
    for (std::int64_t g = 0; g < a.rows / kScaleGroup; ++g) {
      const Bf16* first = a.x + g * kScaleGroup * a.cols + c;
      a.scales_t[g * a.cols + c] = round_group(first, a.cols, a.format, a.q_t + c * a.rows + g * kScaleGroup);
    }
  }
}

namespace {

void quantize_block(const QuantizeWeightArgs& a, std::int64_t bn, std::int64_t bk) {
  float amax = 0;
  for (std::int64_t n = bn * kScaleGroup; n < (bn + 1) * kScaleGroup; ++n)
    amax = std::fmax(amax, amax_of(a.w + n * a.k + bk * kScaleGroup, 1));
  const GroupScale s = group_scale(amax, a.format);
  a.scales[bn * (a.k / kScaleGroup) + bk] = s.scale;
  if (a.q_t != nullptr) a.scales_t[bk * (a.n / kScaleGroup) + bn] = s.scale;
  for (std::int64_t n = bn * kScaleGroup; n < (bn + 1) * kScaleGroup; ++n) {
    for (std::int64_t k = bk * kScaleGroup; k < (bk + 1) * kScaleGroup; ++k) {
      const E4m3 code = e4m3_from_float(float_from_bf16(a.w[n * a.k + k]) * s.inverse);
      a.q[n * a.k + k] = code;
      if (a.q_t != nullptr) a.q_t[k * a.n + n] = code;
    }
  }
}

}  // namespace

void quantize_weight(const QuantizeWeightArgs& a) {
  for (std::int64_t bn = 0; bn < a.n / kScaleGroup; ++bn)
    for (std::int64_t bk = 0; bk < a.k / kScaleGroup; ++bk) quantize_block(a, bn, bk);
}

}  // namespace railcast::kernels::reference
