// BF16 -> E4M3 with fine-grained scales, in the layouts the FP8 GEMMs read.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// Accumulated over calls: zero it to begin. Integers and a maximum, so the order of blocks does not matter.
struct QuantizeStats {
  std::uint32_t amax_bits = 0;  ///< float bits of the largest magnitude seen
  std::uint32_t unused = 0;
  unsigned long long at_max = 0;   ///< codes at +-448, each group's own largest element included, and NaN
  unsigned long long flushed = 0;  ///< non-zero inputs whose code is zero
};

/// Activations. x [rows, cols] row-major; cols a multiple of 128.
/// q [rows, cols] with scales [cols/128, scale_stride], element (g, r) belongs to x[r, 128g .. 128g+127].
/// q_t [cols, rows] (optional, rows a multiple of 128) with scales_t [rows/128, cols], groups of 128 rows: what wgrad
/// reads. Both are rounded from x itself, never one from the other.
/// A NaN does not count for its group's scale and stays NaN; an infinity makes the scale infinite, its own code NaN and
/// the group's finite codes zero.
struct QuantizeArgs {
  std::int64_t rows = 0, cols = 0;
  const Bf16* x = nullptr;
  E4m3* q = nullptr;
  float* scales = nullptr;
  std::int64_t scale_stride = 0;  ///< rows, rounded up to 4 where a TMA load of the scales wants 16-byte rows
  E4m3* q_t = nullptr;
  float* scales_t = nullptr;
  ScaleFormat format = ScaleFormat::fp32;
  QuantizeStats* stats = nullptr;  ///< optional, on the device
};
void quantize(const QuantizeArgs& args, const Launch& launch);

/// Weights. w [n, k], both multiples of 128; q [n, k] and scales [n/128, k/128], one scale per 128x128 block;
/// q_t [k, n] and scales_t [k/128, n/128] (optional) are the same codes transposed: what dgrad reads.
struct QuantizeWeightArgs {
  std::int64_t n = 0, k = 0;
  const Bf16* w = nullptr;
  E4m3* q = nullptr;
  float* scales = nullptr;
  E4m3* q_t = nullptr;
  float* scales_t = nullptr;
  ScaleFormat format = ScaleFormat::fp32;
};
void quantize_weight(const QuantizeWeightArgs& args, const Launch& launch);

}  // namespace railcast::kernels
