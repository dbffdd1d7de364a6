// The router: scores, group limit, top-k, weights; its backward pass; the bias that balances the load.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

enum class Scoring : std::uint8_t { sigmoid, softmax };

/// Which experts a token goes to. Experts are chosen by score + bias; their weights are the scores alone.
/// With groups > 1 the experts are cut into equal groups, a group's worth is the sum of its `group_sum` best, and only
/// the `top_groups` best groups are open (arXiv 2412.19437, 2.1.2). Ties go to the lower index.
struct Gating {
  std::int64_t experts = 0;        ///< a multiple of 32 up to 512, or fewer than 32 without groups
  int top_k = 0;                   ///< up to 32
  int groups = 1, top_groups = 1;  ///< groups: a power of two up to 32
  int group_sum = 2;               ///< 1 or 2
  Scoring scoring = Scoring::sigmoid;
  bool normalise = true;  ///< weights divided by their sum
  float scale = 1.0F;     ///< and multiplied by this
};

struct GateArgs {
  Gating gating;
  std::int64_t tokens = 0;
  const float* logits = nullptr;  ///< [tokens, experts]
  const float* bias = nullptr;    ///< optional [experts]
  int* experts = nullptr;         ///< [tokens, top_k], best first
  float* weights = nullptr;       ///< [tokens, top_k]
  // The layout that dispatch needs, counted in the same launch; all optional, counts are added to (zero them first).
  int ranks = 1;                          ///< experts / ranks each; up to 64
  int* expert_counts = nullptr;           ///< [experts]
  int* rank_counts = nullptr;             ///< [ranks]: tokens with an expert there
  unsigned long long* on_rank = nullptr;  ///< [tokens]: bit r set when the token has an expert on rank r
};
void gate(const GateArgs& args, const Launch& launch);

/// d_logits [tokens, experts] from the weights' gradient; experts not chosen get zero (sigmoid) or their share through
/// the softmax. The choice itself has no gradient.
struct GateBackwardArgs {
  Gating gating;
  std::int64_t tokens = 0;
  const float* logits = nullptr;
  const int* experts = nullptr;      ///< [tokens, top_k]
  const float* d_weights = nullptr;  ///< [tokens, top_k]
  float* d_logits = nullptr;         ///< [tokens, experts]
};
void gate_backward(const GateBackwardArgs& args, const Launch& launch);

/// bias[e] += speed * sign(mean(counts) - counts[e]) (arXiv 2408.15664).
struct GateBiasArgs {
  std::int64_t experts = 0;
  const int* counts = nullptr;
  float* bias = nullptr;
  float speed = 1e-3F;
};
void gate_bias_update(const GateBiasArgs& args, const Launch& launch);

}  // namespace railcast::kernels
