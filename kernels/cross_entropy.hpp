// Softmax cross-entropy, forward and backward in one pass: one read and one write of the logits.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

/// loss[t] = log(sum over v of exp(logits[t,v])) - logits[t, target[t]]; logits become
/// (softmax - one_hot(target)) * gradient_scale. A negative target is ignored: loss 0, gradient 0.
/// vocab a multiple of 8, up to 262144. Each row is held by a cluster of CTAs, in registers.
struct CrossEntropyArgs {
  std::int64_t tokens = 0, vocab = 0;
  Bf16* logits = nullptr;        ///< [tokens, vocab]
  const int* targets = nullptr;  ///< [tokens]
  float* loss = nullptr;         ///< [tokens]
  float gradient_scale = 1.0F;   ///< 1 / tokens for a mean
};
void cross_entropy(const CrossEntropyArgs& args, const Launch& launch);

}  // namespace railcast::kernels
