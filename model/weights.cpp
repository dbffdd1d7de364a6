#include "model/weights.hpp"

namespace railcast {
namespace {

double real(std::int64_t n) { return static_cast<double>(n); }

// A stage's own layers, the MTP modules' included.
Weights stage_weights(const Scenario& s, const StageLayers& stage) {
  Weights e;
  for (std::int64_t l = stage.first; l < stage.first + stage.count; ++l) e += layer_weights(s, l);
  const double h = real(s.model.hidden_size);
  for (std::int64_t m = 0; stage.head && m < s.model.num_nextn_predict_layers; ++m) {
    e += layer_weights(s, s.model.num_hidden_layers);
    e += {2 * h * h, 3 * h, 0};  // projection 2h -> h and three norms, whole on every tensor-parallel rank
  }
  return e;
}

}  // namespace

Weights layer_weights(const Scenario& s, std::int64_t layer) {
  const auto l = layer_parameters(s.model, layer);
  const auto& p = s.plan;
  return {real(l.attention + l.mlp_dense + l.shared_expert) / real(p.tp), real(l.gate + l.norms),
          real(l.routed_experts) / real(p.ep * p.etp)};
}

Weights weights_of(const Scenario& s, const std::vector<StageLayers>& held) {
  Weights e;
  bool embedding = false, head = false;
  for (const auto& stage : held) {
    e += stage_weights(s, stage);
    embedding |= stage.embedding || (stage.head && s.model.num_nextn_predict_layers > 0);
    head |= stage.head;
  }
  const int tables = embedding + head - (embedding && head && s.model.tie_word_embeddings);
  const double h = real(s.model.hidden_size);
  e.exact += tables * h * real(s.model.vocab_size) / real(s.plan.tp) + (head ? h : 0);
  return e;
}

Sharing sharing(const Scenario& s) {
  const double copies = s.plan.schedule == Schedule::dualpipe ? 2 : 1;
  return {copies * real(s.plan.cp * dp(s.plan, s.gpus())),
          copies * real(std::max<std::int64_t>(expert_dp(s.plan, s.gpus()), 1))};
}

}  // namespace railcast
