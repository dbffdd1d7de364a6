// The FP64 reference of the GEMM family on the GPU: naive, one warp per output element.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/reference.hpp"

namespace railcast::kernels {

/// A GEMM as the reference sees it; pointers are the GPU's.
struct GemmCheck {
  std::int64_t rows = 0, n = 0, k = 0;  ///< rows of A and D in all groups
  const std::uint8_t* a = nullptr;
  const float* a_scales = nullptr;  ///< [k blocks][a_stride] (masked: one such table per group)
  std::int64_t a_stride = 0;
  const std::uint8_t* b = nullptr;
  const float* b_scales = nullptr;  ///< 128x128 blocks, or [k blocks][b_stride] where b_stride > 0
  std::int64_t b_stride = 0;
  const int* block_group = nullptr;  ///< contiguous: per 128 rows
  const int* valid_rows = nullptr;   ///< masked: per group of group_rows rows
  std::int64_t group_rows = 0;
  std::int64_t used_rows = -1;           ///< contiguous with fewer rows in use; -1: all
  std::int64_t k_begin = 0, k_end = -1;  ///< wgrad of one group; -1: k
  std::int64_t group = 0;                ///< wgrad: which of the gradients in d
  const void* d = nullptr;
  bool bf16 = false;  ///< A and B are BF16 instead of E4M3
  bool fp32 = false;  ///< D is FP32 and held what fill_start writes before
};

/// What D holds before an accumulating kernel runs, at element i.
void fill_start(float* d, std::size_t count, cudaStream_t stream);
/// Fills D with NaN (all bits set).
void poison(void* d, std::size_t bytes, cudaStream_t stream);

/// Where the reference is NaN or an infinity D must be either (which one depends on the order of the sums); elsewhere
/// it compares every element where there are at most 4 M of them, else one at a hashed place in each 16x16 cell. Looks
/// at every element for being written where it should and only there.
Difference check_gemm(const GemmCheck& problem, cudaStream_t stream);

}  // namespace railcast::kernels
