// The weighted sum of a token's expert rows, and its backward.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// out[t] = sum over k of weights[t,k] * y[row_of[t,k]], in order of k, in FP32, rounded once. row_of -1 is skipped.
/// Without weights: the plain sum, which is also permute's backward.
struct UnpermuteArgs {
  std::int64_t tokens = 0, cols = 0;  ///< cols a multiple of 8
  int top_k = 0;                      ///< up to 32
  const Bf16* y = nullptr;            ///< [rows, cols]
  const int* row_of = nullptr;        ///< [tokens, top_k]
  const float* weights = nullptr;     ///< optional [tokens, top_k]
  std::int64_t weight_stride = 0;     ///< floats from a token to the next; 0: top_k
  const int* used = nullptr;          ///< optional, on the device: tokens from here on are left alone
  Bf16* out = nullptr;                ///< [tokens, cols]
};
void unpermute(const UnpermuteArgs& args, const Launch& launch);

/// d_y[row_of[t,k]] = weights[t,k] * d_out[t]; d_weights[t,k] = d_out[t] . y[row_of[t,k]]. Padding rows are not
/// written.
struct UnpermuteBackwardArgs {
  std::int64_t tokens = 0, cols = 0;  ///< cols a multiple of 8, up to 16384
  int top_k = 0;
  const Bf16* d_out = nullptr;
  const Bf16* y = nullptr;  ///< needed with d_weights
  const int* row_of = nullptr;
  const float* weights = nullptr;  ///< optional: 1
  std::int64_t weight_stride = 0;  ///< floats from a token to the next; 0: top_k
  const int* used = nullptr;       ///< optional, on the device: tokens from here on are left alone
  Bf16* d_y = nullptr;
  float* d_weights = nullptr;  ///< optional [tokens, top_k]; 0 where row_of is -1
};
void unpermute_backward(const UnpermuteBackwardArgs& args, const Launch& launch);

}  // namespace railcast::kernels
