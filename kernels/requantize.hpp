// What arrives quantised along columns and is needed quantised along rows: wgrad's activations after an FP8 dispatch.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// q [rows, cols] with scales [cols/128, scale_stride] to q_t [cols, rows] with scales_t [rows/128, cols]; rows and
/// cols multiples of 128. Values are those of q: code * scale in FP32.
struct RequantizeArgs {
  std::int64_t rows = 0, cols = 0;
  const E4m3* q = nullptr;
  const float* scales = nullptr;
  std::int64_t scale_stride = 0;
  E4m3* q_t = nullptr;
  float* scales_t = nullptr;
  ScaleFormat format = ScaleFormat::fp32;
};
void requantize(const RequantizeArgs& args, const Launch& launch);

}  // namespace railcast::kernels
