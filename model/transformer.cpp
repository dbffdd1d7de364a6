#include "model/transformer.hpp"

#include <algorithm>

namespace railcast {
namespace {

/// MLA: q_a, q_b (or q), kv_a with the shared RoPE key, kv_b, o. A bias, where there is one, is on q_a (or q), kv_a, o.
std::int64_t mla_parameters(const Transformer& t) {
  const std::int64_t h = t.hidden_size, heads = t.num_attention_heads;
  const std::int64_t q_out = heads * (t.qk_nope_head_dim + t.qk_rope_head_dim);
  const std::int64_t q = t.q_lora_rank > 0 ? t.q_lora_rank * (h + q_out) : h * q_out;
  const std::int64_t kv_a = t.kv_lora_rank + t.qk_rope_head_dim;
  const std::int64_t kv_b = t.kv_lora_rank * heads * (t.qk_nope_head_dim + t.v_head_dim);
  const std::int64_t bias = t.attention_bias ? (t.q_lora_rank > 0 ? t.q_lora_rank : q_out) + kv_a + h : 0;
  return q + h * kv_a + kv_b + heads * t.v_head_dim * h + bias;
}

/// q, k, v and o. glm4_moe has its bias on q, k and v only; the other families on o too.
std::int64_t gqa_parameters(const Transformer& t) {
  const std::int64_t q = t.num_attention_heads * t.head_dim, kv = t.num_key_value_heads * t.head_dim;
  const std::int64_t o_bias = t.model_type == "glm4_moe" ? 0 : t.hidden_size;
  return t.hidden_size * (2 * q + 2 * kv) + (t.attention_bias ? q + 2 * kv + o_bias : 0);
}

/// Two of the layer, and those of the latents (MLA) or of q and k.
std::int64_t norm_parameters(const Transformer& t) {
  std::int64_t n = 2 * t.hidden_size;
  if (t.mla()) n += t.q_lora_rank + t.kv_lora_rank;
  if (t.qk_norm) n += (t.qk_norm_full ? t.num_attention_heads + t.num_key_value_heads : 2) * t.head_dim;
  return n;
}

std::int64_t sum(const LayerParameters& l) {
  return l.attention + l.mlp_dense + l.shared_expert + l.routed_experts + l.gate + l.norms;
}

/// Of a layer, what one token passes through.
std::int64_t active(const Transformer& t, const LayerParameters& l) {
  if (l.routed_experts == 0) return sum(l);
  return sum(l) - l.routed_experts + l.routed_experts / t.n_routed_experts * t.num_experts_per_tok;
}

/// Weights of a layer that one token multiplies with: no norms, no gate bias, no projection bias.
double multiplied(const Transformer& t, std::int64_t layer) {
  Transformer plain = t;
  plain.attention_bias = plain.routing_bias = false;
  const LayerParameters l = layer_parameters(plain, layer);
  return static_cast<double>(active(plain, l) - l.norms);
}

}  // namespace

bool Transformer::moe(std::int64_t layer) const {
  const std::int64_t l = std::min(layer, num_hidden_layers - 1);
  if (n_routed_experts == 0 || l < first_k_dense_replace) return false;
  return std::find(mlp_only_layers.begin(), mlp_only_layers.end(), l) == mlp_only_layers.end();
}

LayerParameters layer_parameters(const Transformer& t, std::int64_t layer) {
  LayerParameters l;
  l.attention = t.mla() ? mla_parameters(t) : gqa_parameters(t);
  l.norms = norm_parameters(t);
  if (!t.moe(layer)) {
    l.mlp_dense = 3 * t.hidden_size * t.intermediate_size;
    return l;
  }
  l.shared_expert = 3 * t.hidden_size * t.shared_intermediate_size;
  l.routed_experts = t.n_routed_experts * 3 * t.hidden_size * t.moe_intermediate_size;
  l.gate = t.n_routed_experts * (t.hidden_size + (t.routing_bias ? 1 : 0));
  return l;
}

/// Embedding, layers, final norm and head (once with the embedding where tied). A token reads one row of the
/// embedding, so `active` counts that row alone. An MTP module: its layer, the norms of its two inputs, the 2h -> h
/// projection and its final norm (V3 report, 2.2; embedding and head are the main model's).
ParameterCount parameters(const Transformer& t) {
  const std::int64_t h = t.hidden_size, head = t.vocab_size * h;
  ParameterCount c{(t.tie_word_embeddings ? 1 : 2) * head + h, head + 2 * h, 0};
  for (std::int64_t i = 0; i < t.num_hidden_layers; ++i) {
    const LayerParameters l = layer_parameters(t, i);
    c.total += sum(l);
    c.active += active(t, l);
  }
  c.mtp = t.num_nextn_predict_layers * (sum(layer_parameters(t, t.num_hidden_layers)) + 2 * h * h + 3 * h);
  return c;
}

std::int64_t kv_bytes_per_token(const Transformer& t) {
  const std::int64_t elements = t.mla() ? t.kv_lora_rank + t.qk_rope_head_dim : 2 * t.num_key_value_heads * t.head_dim;
  return 2 * t.num_hidden_layers * elements;
}

/// 6 FLOPs per multiplied weight (2 forward, 4 backward), and 3 x 2 x (d_qk + d_v) per head and attended position.
double flops_per_token(const Transformer& t, std::int64_t sequence, bool causal) {
  const double weights_of_head = static_cast<double>(t.vocab_size) * static_cast<double>(t.hidden_size);
  double weights = weights_of_head;
  for (std::int64_t i = 0; i < t.num_hidden_layers; ++i) weights += multiplied(t, i);
  const std::int64_t d = t.mla() ? t.qk_nope_head_dim + t.qk_rope_head_dim + t.v_head_dim : 2 * t.head_dim;
  const double attended = static_cast<double>(sequence) * (causal ? 0.5 : 1);
  const auto heads = static_cast<double>(t.num_hidden_layers * t.num_attention_heads);
  return 6 * weights + 6 * heads * static_cast<double>(d) * attended;
}

}  // namespace railcast
