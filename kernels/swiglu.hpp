// SwiGLU with the router's weight: h = silu(gate) * up * weight, quantised on the way out; and its backward.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// gate_up [rows, 2*cols] BF16: gate in columns 0..cols-1, up in cols..2*cols-1; cols a multiple of 128.
/// Either h [rows, cols] BF16 or q [rows, cols] E4M3 with scales [cols/128, scale_stride] is written, or both.
struct SwiGluArgs {
  std::int64_t rows = 0, cols = 0;
  const Bf16* gate_up = nullptr;
  const float* weight = nullptr;  ///< optional [rows]: the router's weight of the row
  Bf16* h = nullptr;
  E4m3* q = nullptr;
  float* scales = nullptr;
  std::int64_t scale_stride = 0;
  ScaleFormat format = ScaleFormat::fp32;
};
void swiglu(const SwiGluArgs& args, const Launch& launch);

/// From gate and up as cached in E4M3 [rows, 2*cols] with scales [2*cols/128, scale_stride]: h is recomputed, not kept.
/// rows and cols multiples of 128 (expert-contiguous rows are padded to that).
/// d_q [rows, 2*cols] with d_scales [2*cols/128, scale_stride] feeds dgrad; d_q_t [2*cols, rows] with d_scales_t
/// [rows/128, 2*cols], and h_q_t [cols, rows] with h_scales_t [rows/128, cols], feed the two wgrads.
/// d_weight [rows] = sum over cols of d_h * silu(gate) * up, summed in a fixed order through d_weight_parts.
struct SwiGluBackwardArgs {
  std::int64_t rows = 0, cols = 0;
  const E4m3* gate_up = nullptr;
  const float* gate_up_scales = nullptr;
  std::int64_t scale_stride = 0;
  const Bf16* d_h = nullptr;      ///< [rows, cols]
  const float* weight = nullptr;  ///< optional [rows]
  E4m3* d_q = nullptr;
  float* d_scales = nullptr;
  E4m3* d_q_t = nullptr;
  float* d_scales_t = nullptr;
  E4m3* h_q_t = nullptr;
  float* h_scales_t = nullptr;
  float* d_weight = nullptr;        ///< optional [rows]
  float* d_weight_parts = nullptr;  ///< scratch [cols/128, rows], needed with d_weight
  ScaleFormat format = ScaleFormat::fp32;
};
void swiglu_backward(const SwiGluBackwardArgs& args, const Launch& launch);

}  // namespace railcast::kernels
