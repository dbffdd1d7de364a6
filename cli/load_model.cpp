#include "cli/load_model.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"

namespace railcast {
namespace {

using nlohmann::json;

constexpr std::int64_t kLargest = 1 << 28;
constexpr double kMostParameters = 1e15;  // far above any model, far below what 64 bits hold
constexpr std::int64_t kMostLayers = 10'000;

bool present(JsonObject& o, const std::string& key) { return o.has(key) && !o.raw(key).is_null(); }

/// The first of a key's spellings that is there; empty where none is.
std::string spelling(JsonObject& o, std::initializer_list<const char*> keys) {
  std::string found;
  for (const char* key : keys)
    if (present(o, key) && found.empty()) found = key;
  return found;
}

std::int64_t size(JsonObject& o, const std::string& key) { return o.integer(key, 1, kLargest); }

std::int64_t size_or(JsonObject& o, const std::string& key, std::int64_t otherwise, std::int64_t least = 0) {
  return present(o, key) ? o.integer(key, least, kLargest) : otherwise;
}

bool flag(JsonObject& o, const std::string& key, bool otherwise = false) {
  return present(o, key) ? o.boolean(key) : otherwise;
}

/// Keys whose presence means another attention or another layer than those lowered here.
struct Unsupported {
  const char* key;
  const char* why;
};
constexpr Unsupported kUnsupported[] = {
    {"index_topk", "sparse attention with an indexer is not modelled"},
    {"index_n_heads", "sparse attention with an indexer is not modelled"},
    {"index_head_dim", "sparse attention with an indexer is not modelled"},
    {"attention_chunk_size", "chunked attention is not modelled"},
    {"linear_attn_config", "linear (hybrid) attention is not modelled"},
    {"linear_num_key_heads", "linear (hybrid) attention is not modelled"},
    {"full_attention_interval", "linear (hybrid) attention is not modelled"},
    {"compress_ratios", "compressed sparse attention is not modelled"},
    {"hybrid_override_pattern", "hybrid layers are not modelled"},
    {"layers_block_type", "hybrid layers are not modelled"},
    {"hc_mult", "hyper-connections are not modelled"},
    {"attn_res_block_size", "attention residuals are not modelled"},
    {"o_lora_rank", "a low-rank output projection is not modelled"},
    {"routed_expert_hidden_size", "experts in a latent space are not modelled"},
    {"num_hash_layers", "hash-routed layers are not modelled"},
    {"interleave_moe_layer_step", "interleaved MoE layers under this key are not modelled"},
    {"intermediate_size_mlp", "a second dense width is not modelled"},
    {"num_zero_experts", "zero-computation experts are not modelled"},
};

void refuse_unsupported(JsonObject& o) {
  for (const Unsupported& u : kUnsupported)
    if (present(o, u.key)) o.refuse(u.key, std::string(u.why) + "; the cost of a layer would differ");
  if (present(o, "sliding_window") && flag(o, "use_sliding_window", true))
    o.refuse("sliding_window", "sliding-window attention is not modelled; expected null, or use_sliding_window false");
  if (present(o, "layer_types"))
    for (const std::string& type : o.texts("layer_types"))
      if (type != "full_attention") o.refuse("layer_types", "expected full_attention in every layer, found " + type);
  if (present(o, "attn_type_list"))
    for (const std::int64_t type : o.integers("attn_type_list"))
      if (type != 1) o.refuse("attn_type_list", "expected 1 (full attention) in every layer");
  if (present(o, "moe_layer_freq") && o.raw("moe_layer_freq") != 1)
    o.refuse("moe_layer_freq", "expected 1: every layer after the leading dense ones is MoE");
  if (flag(o, "mlp_bias")) o.refuse("mlp_bias", "a bias in the MLP is not modelled; expected false");
  if (present(o, "hidden_act") && o.text("hidden_act") != "silu")
    o.refuse("hidden_act", "expected silu (SwiGLU, three matrices), found " + o.text("hidden_act"));
}

/// Keys of every Hugging Face configuration that only generation or classification reads.
constexpr const char* kGeneric[] = {"add_cross_attention",
                                    "bad_words_ids",
                                    "begin_suppress_tokens",
                                    "chunk_size_feed_forward",
                                    "cross_attention_hidden_size",
                                    "decoder_start_token_id",
                                    "diversity_penalty",
                                    "do_sample",
                                    "early_stopping",
                                    "encoder_no_repeat_ngram_size",
                                    "exponential_decay_length_penalty",
                                    "finetuning_task",
                                    "forced_bos_token_id",
                                    "forced_eos_token_id",
                                    "id2label",
                                    "is_decoder",
                                    "is_encoder_decoder",
                                    "label2id",
                                    "length_penalty",
                                    "max_length",
                                    "min_length",
                                    "no_repeat_ngram_size",
                                    "num_beam_groups",
                                    "num_beams",
                                    "num_return_sequences",
                                    "output_scores",
                                    "prefix",
                                    "problem_type",
                                    "pruned_heads",
                                    "remove_invalid_values",
                                    "repetition_penalty",
                                    "return_dict_in_generate",
                                    "sep_token_id",
                                    "suppress_tokens",
                                    "task_specific_params",
                                    "temperature",
                                    "tf_legacy_loss",
                                    "tie_encoder_decoder",
                                    "tokenizer_class",
                                    "top_k",
                                    "top_p",
                                    "torchscript",
                                    "typical_p",
                                    "use_bfloat16"};

/// Keys that change no shape: tokens, dropout, initialisation, loss weights, positions' scaling, how weights are
/// stored.
void skip_harmless(JsonObject& o) {
  for (const char* key : kGeneric) o.has(key);
  for (const char* key : {"architectures",
                          "_name_or_path",
                          "auto_map",
                          "dtype",
                          "torch_dtype",
                          "transformers_version",
                          "use_cache",
                          "quantization_config",
                          "attention_dropout",
                          "hidden_dropout",
                          "resid_pdrop",
                          "embd_pdrop",
                          "initializer_range",
                          "rms_norm_eps",
                          "rope_theta",
                          "rope_scaling",
                          "rope_parameters",
                          "rope_interleave",
                          "max_position_embeddings",
                          "max_window_layers",
                          "ep_size",
                          "pretraining_tp",
                          "norm_topk_prob",
                          "routed_scaling_factor",
                          "aux_loss_alpha",
                          "seq_aux",
                          "output_router_logits",
                          "router_aux_loss_coef",
                          "router_jitter_noise",
                          "router_z_loss_coef",
                          "output_attentions",
                          "output_hidden_states",
                          "return_dict",
                          "pad_token_id",
                          "bos_token_id",
                          "eos_token_id",
                          "qk_head_dim",
                          "head_dim",
                          "hidden_act",
                          "moe_layer_freq",
                          "use_sliding_window",
                          "sliding_window"})
    o.has(key);
}

void read_attention(JsonObject& o, Transformer& t) {
  t.num_attention_heads = size(o, "num_attention_heads");
  t.num_key_value_heads = size_or(o, "num_key_value_heads", t.num_attention_heads, 1);
  if (t.num_attention_heads % t.num_key_value_heads != 0)
    o.refuse("num_key_value_heads", "expected a divisor of num_attention_heads (" +
                                        std::to_string(t.num_attention_heads) + "), found " +
                                        std::to_string(t.num_key_value_heads));
  t.attention_bias = flag(o, "attention_bias");
  t.qk_norm = flag(o, "use_qk_norm", t.model_type == "qwen3_moe");
  t.qk_norm_full = present(o, "qk_norm_type") && o.one_of("qk_norm_type", {"per_layer", "per_head"}) == "per_layer";
}

void read_mla(JsonObject& o, Transformer& t) {
  t.kv_lora_rank = size(o, "kv_lora_rank");
  t.q_lora_rank = size_or(o, "q_lora_rank", 0);
  t.qk_nope_head_dim = size(o, "qk_nope_head_dim");
  t.qk_rope_head_dim = size(o, "qk_rope_head_dim");
  t.v_head_dim = size(o, "v_head_dim");
  t.head_dim = t.qk_nope_head_dim + t.qk_rope_head_dim;
}

/// qk_rope_head_dim holds the rotated dimensions of a head: head_dim where the rotation is not partial.
void read_gqa(JsonObject& o, Transformer& t) {
  if (!present(o, "head_dim") && t.hidden_size % t.num_attention_heads != 0)
    o.refuse("num_attention_heads",
             "expected a divisor of hidden_size (" + std::to_string(t.hidden_size) + ") where there is no head_dim");
  t.head_dim = size_or(o, "head_dim", t.hidden_size / t.num_attention_heads, 1);
  t.qk_rope_head_dim = size_or(o, "rotary_dim", t.head_dim);
  if (!present(o, "partial_rotary_factor")) return;
  const double factor = o.number("partial_rotary_factor");
  if (!(factor > 0 && factor <= 1)) o.refuse("partial_rotary_factor", "expected more than 0 and at most 1");
  t.qk_rope_head_dim = std::llround(factor * static_cast<double>(t.head_dim));
}

/// Group-limited routing: groups of experts, of which a token uses topk_group.
void read_groups(JsonObject& o, Transformer& t) {
  t.n_group = size_or(o, "n_group", 1, 1);
  t.topk_group = size_or(o, "topk_group", 1, 1);
  if (t.n_routed_experts % t.n_group != 0)
    o.refuse("n_group", "expected a divisor of the " + std::to_string(t.n_routed_experts) + " experts");
  if (t.topk_group > t.n_group) o.refuse("topk_group", "expected at most n_group, " + std::to_string(t.n_group));
  const std::int64_t reachable = t.n_routed_experts / t.n_group * t.topk_group;
  if (t.num_experts_per_tok > reachable)
    o.refuse("num_experts_per_tok",
             "expected at most the " + std::to_string(reachable) + " experts that a token can choose from");
}

/// Dense layers: the leading ones, those listed, and those that the sparse step skips.
void read_dense_layers(JsonObject& o, Transformer& t) {
  t.first_k_dense_replace = size_or(o, "first_k_dense_replace", 0);
  if (t.first_k_dense_replace > t.num_hidden_layers)
    o.refuse("first_k_dense_replace", "expected at most num_hidden_layers");
  if (present(o, "mlp_only_layers")) t.mlp_only_layers = o.integers("mlp_only_layers");
  const std::int64_t step = size_or(o, "decoder_sparse_step", 1, 1);
  for (std::int64_t i = 0; step > 1 && i < t.num_hidden_layers; ++i)
    if ((i + 1) % step != 0) t.mlp_only_layers.push_back(i);
}

void read_experts(JsonObject& o, Transformer& t) {
  const std::string experts = spelling(o, {"n_routed_experts", "num_experts", "num_local_experts"});
  if (experts.empty()) o.refuse("", "expected n_routed_experts, num_experts or num_local_experts");
  t.n_routed_experts = size(o, experts);
  const std::string top_k = spelling(o, {"num_experts_per_tok", "num_experts_per_token", "experts_per_token"});
  t.num_experts_per_tok = size(o, top_k.empty() ? "num_experts_per_tok" : top_k);
  // mixtral and minimax_m2 have no dense MLP: intermediate_size is the experts'
  const std::string width = spelling(o, {"moe_intermediate_size", "intermediate_size"});
  t.moe_intermediate_size = size(o, width.empty() ? "moe_intermediate_size" : width);
  const std::string shared = spelling(o, {"n_shared_experts", "num_shared_experts"});
  t.n_shared_experts = shared.empty() ? 0 : o.integer(shared, 0, 1024);
  t.shared_intermediate_size = size_or(o, "shared_intermediate_size", t.n_shared_experts * t.moe_intermediate_size);
  read_dense_layers(o, t);
  read_groups(o, t);
}

void read_router(JsonObject& o, Transformer& t) {
  const bool sigmoid = t.model_type != "qwen3_moe" && t.model_type != "mixtral";
  t.scoring_func =
      present(o, "scoring_func") ? o.one_of("scoring_func", {"sigmoid", "softmax"}) : (sigmoid ? "sigmoid" : "softmax");
  const bool bias_free = present(o, "topk_method") && o.text("topk_method") == "noaux_tc";
  t.routing_bias = flag(o, "use_routing_bias", bias_free || t.model_type == "glm4_moe");
}

/// MTP depth under its several names. minimax_m2 may also switch its modules off, or stack layers in them.
std::int64_t mtp_depth(JsonObject& o) {
  if (size_or(o, "mtp_transformer_layers", 1) != 1)
    o.refuse("mtp_transformer_layers", "expected 1 layer in an MTP module");
  const std::string key = spelling(
      o, {"num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers", "num_mtp_layers", "mtp_num_layers"});
  const bool used = flag(o, "use_mtp", true);
  return key.empty() || !used ? 0 : o.integer(key, 0, 64);
}

void read_sizes(JsonObject& o, Transformer& t) {
  t.num_hidden_layers = o.integer("num_hidden_layers", 1, kMostLayers);
  t.hidden_size = size(o, "hidden_size");
  t.vocab_size = size(o, "vocab_size");
  t.intermediate_size = size(o, "intermediate_size");
  t.tie_word_embeddings = flag(o, "tie_word_embeddings");
  t.num_nextn_predict_layers = mtp_depth(o);
}

/// Sizes that are each possible may still make a product that is not.
void check_magnitude(const JsonObject& o, const Transformer& t) {
  const auto d = [](std::int64_t n) { return static_cast<double>(n); };
  const double heads = d(t.num_attention_heads) * d(2 * t.head_dim + t.qk_nope_head_dim + t.v_head_dim);
  const double attention =
      (heads + d(t.q_lora_rank + t.kv_lora_rank)) * d(t.hidden_size + t.q_lora_rank + t.kv_lora_rank);
  const double experts = d(t.n_routed_experts) * d(t.moe_intermediate_size) + d(t.shared_intermediate_size);
  const double mlp = 3 * d(t.hidden_size) * (d(t.intermediate_size) + experts);
  const double all = d(t.num_hidden_layers) * (attention + mlp) + 2 * d(t.vocab_size) * d(t.hidden_size);
  if (all > kMostParameters) o.refuse("", "expected sizes of a model below 1e15 parameters; check them");
}

Transformer read_model(JsonObject& o) {
  refuse_unsupported(o);
  Transformer t;
  t.model_type =
      o.one_of("model_type", {"deepseek_v3", "kimi_k2", "qwen3_moe", "mixtral", "minimax_m2", "glm4_moe", "llama"});
  read_sizes(o, t);
  read_attention(o, t);
  const bool mla = t.model_type == "deepseek_v3" || t.model_type == "kimi_k2";
  mla ? read_mla(o, t) : read_gqa(o, t);
  if (t.model_type != "llama") {
    read_experts(o, t);
    read_router(o, t);
  }
  check_magnitude(o, t);
  skip_harmless(o);
  o.finish();
  return t;
}

}  // namespace

Transformer load_model(const std::string& path) {
  const json document = read_json(path);
  JsonObject top(document, path);
  if (!present(top, "text_config")) return read_model(top);
  JsonObject text = top.object("text_config");
  return read_model(text);
}

}  // namespace railcast
