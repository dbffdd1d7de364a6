// AdamW: FP32 master weights and gradients, BF16 moments, BF16 or FP8 weights out; and the global norm for clipping.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// g = gradient * clip; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2 (FP32, then kept in BF16);
/// master = master (1 - rate decay) - rate (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon).
/// clip = min(1, most_norm / (*norm + 1e-6)) where norm is given.
struct AdamWArgs {
  std::int64_t parameters = 0;  ///< a multiple of 8
  float* master = nullptr;
  const float* gradient = nullptr;
  Bf16* m = nullptr;
  Bf16* v = nullptr;
  Bf16* weights = nullptr;  ///< optional: the BF16 copy out
  // FP8 weights instead: the parameters are [n, k] with n * k = parameters, both multiples of 128, in 128x128 blocks.
  std::int64_t n = 0, k = 0;
  E4m3* q = nullptr;
  float* scales = nullptr;  ///< [n/128, k/128]
  ScaleFormat format = ScaleFormat::fp32;
  float rate = 1e-3F, beta1 = 0.9F, beta2 = 0.95F, epsilon = 1e-8F, decay = 0.1F;
  int step = 1;                 ///< from 1
  const float* norm = nullptr;  ///< optional, on the device: global_norm's result
  float most_norm = 1.0F;
};
void adamw(const AdamWArgs& args, const Launch& launch);

constexpr int kNormParts = 1024;
/// norm = sqrt(sum of squares), always added in the same order.
struct GlobalNormArgs {
  std::int64_t parameters = 0;  ///< a multiple of 4
  const float* gradient = nullptr;
  double* parts = nullptr;  ///< scratch [kNormParts]
  float* norm = nullptr;
};
void global_norm(const GlobalNormArgs& args, const Launch& launch);

}  // namespace railcast::kernels
