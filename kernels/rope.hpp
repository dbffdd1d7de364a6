// Rotary position embedding, in place.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// Row r is x + r * row_stride, its `cols` elements are rotated pairwise by the angles of position r /
/// rows_per_position (rows of one token are its heads). cols a multiple of 16.
struct RopeArgs {
  std::int64_t rows = 0, cols = 0, row_stride = 0;
  std::int64_t rows_per_position = 1;
  Bf16* x = nullptr;
  const float* cosine = nullptr;  ///< [positions, cols/2]
  const float* sine = nullptr;
  bool interleaved = true;  ///< pairs (2i, 2i+1), as in DeepSeek's code; else (i, i + cols/2)
  bool inverse = false;     ///< rotate back: the backward pass
};
void rope(const RopeArgs& args, const Launch& launch);

}  // namespace railcast::kernels
