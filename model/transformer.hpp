// Transformer: what a Hugging Face config.json says, in the config's own words, and its layers lowered to Shapes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/shapes.hpp"

namespace railcast {

/// Field names are config.json's; sizes are in elements. One struct for MLA (kv_lora_rank > 0) and GQA.
struct Transformer {
  std::string model_type;
  std::int64_t num_hidden_layers = 0, hidden_size = 0, vocab_size = 0, intermediate_size = 0;
  std::int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  std::int64_t q_lora_rank = 0, kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  std::int64_t n_routed_experts = 0, n_shared_experts = 0, num_experts_per_tok = 0, moe_intermediate_size = 0;
  std::int64_t shared_intermediate_size = 0;  ///< of all shared experts together
  std::int64_t first_k_dense_replace = 0;     ///< leading dense layers
  std::vector<std::int64_t> mlp_only_layers;  ///< further dense layers
  std::int64_t n_group = 1, topk_group = 1;
  std::int64_t num_nextn_predict_layers = 0;  ///< MTP depth
  std::string scoring_func = "softmax";
  bool attention_bias = false, qk_norm = false, qk_norm_full = false, routing_bias = false, tie_word_embeddings = false;

  bool mla() const { return kv_lora_rank > 0; }
  bool moe(std::int64_t layer) const;  ///< MTP layers (>= num_hidden_layers) are as the last layer
};

/// Counts of weights (elements). Source of the definitions: the checkpoint's tensors.
struct ParameterCount {
  std::int64_t total = 0;   ///< without MTP
  std::int64_t active = 0;  ///< per token, without MTP
  std::int64_t mtp = 0;     ///< MTP modules' own tensors, without the shared embedding and head
};
ParameterCount parameters(const Transformer& t);

/// Per layer: weights by where they live.
struct LayerParameters {
  std::int64_t attention = 0, mlp_dense = 0, shared_expert = 0, routed_experts = 0, gate = 0, norms = 0;
};
LayerParameters layer_parameters(const Transformer& t, std::int64_t layer);

/// BF16 bytes of KV cache (or MLA latent) per token, all layers (arXiv 2505.09343, table 1).
std::int64_t kv_bytes_per_token(const Transformer& t);

/// Forward + backward FLOPs per token at this sequence length: with the head, without input embedding, MTP and
/// recompute; `causal` counts half of the scores (arXiv 2505.09343, table 2).
double flops_per_token(const Transformer& t, std::int64_t sequence, bool causal);

}  // namespace railcast
