// The definition of every kernel, in FP64 on a CPU. No CUDA.
// Layouts are those of the kernels: matrices row-major, K innermost ("K-major"), scales of 1x128 tiles stored
// [ceil(k/128)][stride] with the row innermost and stride a multiple of 4, scales of 128x128 blocks
// [ceil(n/128)][ceil(k/128)].
#pragma once
#include <cstdint>
#include <vector>

namespace railcast::kernels {

inline constexpr std::int64_t kScaleBlock = 128;

/// E4M3 [rows, cols] with its scales; value = data * scale.
struct Quantised {
  std::int64_t rows = 0, cols = 0;
  std::vector<std::uint8_t> data;  ///< [rows, cols]
  std::vector<float> scales;
  std::int64_t scale_stride = 0;  ///< 1x128: rows rounded up to 4; 128x128: ceil(cols/128)
};

/// scale = amax / 448 over each 1x128 tile, amax at least 1e-10; code = e4m3(x * (448 / amax)), all in FP32.
/// NaN does not count for amax and stays NaN; an infinity makes its tile's scale infinite and its codes 0 or NaN.
Quantised quantise_tiles(const float* x, std::int64_t rows, std::int64_t cols);
/// The same over each 128x128 block.
Quantised quantise_blocks(const float* x, std::int64_t rows, std::int64_t cols);

/// Scales of 1x128 tiles applied: [rows, cols].
std::vector<double> dequantise_tiles(const Quantised& q);
/// Scales of 128x128 blocks applied: [rows, cols].
std::vector<double> dequantise_blocks(const Quantised& q);

/// D[m,n] = A[m,k] B[n,k]^T.
std::vector<double> gemm(const Quantised& a, const Quantised& b);
/// As gemm, with the weights of `block_group[i]` for the rows [128 i, 128 i + 128); -1 leaves zeros.
/// b holds one Quantised [n,k] per group.
std::vector<double> grouped_gemm_contiguous(const Quantised& a, const std::vector<Quantised>& b,
                                            const std::vector<int>& block_group);
/// D[g] = A[g] B[g]^T for the first valid_rows[g] rows of each group; zeros below. Returns [groups, m, n].
std::vector<double> grouped_gemm_masked(const std::vector<Quantised>& a, const std::vector<Quantised>& b,
                                        const std::vector<int>& valid_rows);
/// D[m,n] = D0[m,n] + A[m,k] B[n,k]^T, both with 1x128 scales along k (tokens). An empty D0 counts as zeros.
std::vector<double> wgrad(const Quantised& a, const Quantised& b, const std::vector<double>& d0);
/// One wgrad per group over the tokens [k_offsets[g], k_offsets[g+1]), offsets multiples of 128. Returns [groups, m,
/// n].
std::vector<double> wgrad_grouped(const Quantised& a, const Quantised& b, const std::vector<int>& k_offsets,
                                  const std::vector<double>& d0);

/// How a tensor core adds: `chunk` products and the accumulator are aligned to the largest exponent among them and cut
/// to `fraction_bits` bits below it before the addition. Hopper's FP8 keeps about 14 bits (arXiv 2412.19437, 3.3.2).
struct TensorCore {
  int chunk = 32;
  int fraction_bits = 13;
};

/// The dot product of k E4M3 codes as a tensor core computes it. With promote_every > 0 the partial sum is added in
/// FP32 to the result every so many products and starts again from zero; 0 never promotes. A NaN code gives NaN.
float dot_limited(const std::uint8_t* a, const std::uint8_t* b, std::int64_t k, int promote_every,
                  TensorCore core = {});

/// ||x - reference|| / ||reference|| (Frobenius) and the largest |x - reference| over the largest |reference|.
struct Difference {
  double relative = 0, maximum = 0;
};
Difference difference(const std::vector<double>& x, const std::vector<double>& reference);

}  // namespace railcast::kernels
