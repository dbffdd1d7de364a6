// Router: how a gate picks a token's experts.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/cost.hpp"
#include "model/expert_counts.hpp"
#include "model/transformer.hpp"

namespace railcast {

/// DeepSeek-V3's gate (arXiv 2412.19437, 2.1.2): sigmoid scores; experts stand in `groups`, and only the `top_groups`
/// with the largest sum of their two best scores stay; of those the top_k. With `groups` 1 and softmax: the gate of
/// Mixtral, Qwen3 and others. A bias is added to the scores for choosing, not for weighing.
struct Router {
  std::int64_t experts = 0, top_k = 0, groups = 1, top_groups = 1;
  bool sigmoid = false;  ///< otherwise softmax over all experts
  GroupScore group_score = GroupScore::top2_sum;
};
Router router_of(const Transformer& t);
/// Throws std::invalid_argument: groups that do not divide the experts, more groups kept than there are, more experts
/// asked for than the groups kept have.
void check(const Router& r);

/// A gate at work. Ties go to the lowest index.
class TokenGate {
 public:
  explicit TokenGate(const Router& r);  ///< throws as check()
  /// The top_k experts, best first. `logits` [experts]; `bias` [experts], or empty. Valid until the next call.
  std::span<const std::int32_t> choose(std::span<const double> logits, std::span<const double> bias = {});
  /// Of the last chosen: their scores without bias, divided by their sum.
  std::vector<double> weights() const;

 private:
  void score(std::span<const double> logits, std::span<const double> bias);
  void keep_groups();

  Router router_;
  std::vector<double> score_, biased_;  ///< by expert
  std::vector<std::pair<double, std::int32_t>> group_;
  std::vector<std::int32_t> candidate_;
};

/// Expert ids of a layer's tokens, [tokens x top_k].
struct TokenRoutes {
  std::int64_t tokens = 0, top_k = 0;
  std::vector<std::int32_t> expert;
  std::span<const std::int32_t> of(std::int64_t token) const {
    return {expert.data() + token * top_k, static_cast<std::size_t>(top_k)};
  }
};
/// Routes `tokens` tokens; a token's logit for an expert is log(experts x share) plus a Gumbel variate of (seed, token,
/// expert), so that without a group limit experts are drawn without replacement by their shares.
TokenRoutes sample_routes(const Router& r, std::span<const double> shares, std::int64_t tokens, std::uint64_t seed,
                          std::span<const double> bias = {});
/// Counts of one layer.
std::vector<double> counts_of(const TokenRoutes& t, std::int64_t experts);

/// V3's balancing without a loss (arXiv 2408.15664): after each step the bias of every expert above the mean load
/// falls by gamma, of every one below rises by it.
struct BiasUpdate {
  double gamma = 0.001;
  std::int64_t steps = 1000, tokens = 1024;  ///< tokens a step
};
struct BiasStep {
  std::int64_t step = 0;
  double imbalance = 1;  ///< largest count over the mean, of this step's tokens
};
/// One layer over `steps` steps, each with tokens of its own. bias [experts] is updated in place.
std::vector<BiasStep> balance_by_bias(const Router& r, std::span<const double> shares, const BiasUpdate& u,
                                      std::uint64_t seed, std::vector<double>& bias);

}  // namespace railcast
