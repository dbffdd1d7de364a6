// RMSNorm over rows of BF16, forward (optionally quantised on the way out) and backward.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + epsilon), in FP32 and rounded once.
/// cols a multiple of 8, at most 16384 (a multiple of 128 with q). At least one of y and q is written.
struct RmsNormArgs {
  std::int64_t rows = 0, cols = 0;
  const Bf16* x = nullptr;       ///< [rows, cols]
  const Bf16* weight = nullptr;  ///< [cols]
  float epsilon = 1e-6F;
  Bf16* y = nullptr;      ///< [rows, cols]
  float* rstd = nullptr;  ///< optional [rows], for the backward pass
  E4m3* q = nullptr;      ///< [rows, cols], of y rounded to BF16
  float* scales = nullptr;
  std::int64_t scale_stride = 0;  ///< scales [cols/128, scale_stride]
  ScaleFormat format = ScaleFormat::fp32;
};
void rms_norm(const RmsNormArgs& args, const Launch& launch);

/// d_x = rstd * (d_y * weight - x * rstd^2 * mean(d_y * weight * x)); d_weight = sum over rows of d_y * x * rstd.
/// Deterministic for a given `parts`: each part sums its rows in one order, then the parts are summed in order.
struct RmsNormBackwardArgs {
  std::int64_t rows = 0, cols = 0;
  const Bf16* x = nullptr;
  const Bf16* weight = nullptr;
  const float* rstd = nullptr;
  const Bf16* d_y = nullptr;
  Bf16* d_x = nullptr;
  float* d_weight = nullptr;        ///< [cols], overwritten
  float* d_weight_parts = nullptr;  ///< scratch [parts, cols]
  int parts = 0;                    ///< blocks of the grid; one an SM keeps it busy
};
void rms_norm_backward(const RmsNormBackwardArgs& args, const Launch& launch);

}  // namespace railcast::kernels
