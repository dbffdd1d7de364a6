// The pieces that layer_work() and layer_activation() are made of: sizes on one rank, linear layers, attention, MLP.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/layer.hpp"

namespace railcast {

/// n / parts, which must divide; std::invalid_argument names `what` where it does not.
std::int64_t share(std::int64_t n, std::int64_t parts, const char* what);

/// Sizes on one rank for one micro-batch.
struct Local {
  Local(const Transformer& model, const Plan& plan, std::int64_t sequence_length, std::int64_t node);

  const Transformer& t;
  const Plan& p;
  std::int64_t sequence, gpus_per_node;
  std::int64_t tokens;   ///< micro_batch x sequence / cp
  std::int64_t sharded;  ///< tokens / tp: rows under sequence parallelism (norms, gate, dispatch)
  bool fp8;              ///< linear layers in FP8; E4M3 caches

  /// BF16 [rows, cols] gathered from, or scattered over, the tensor-parallel group; nothing where tp is 1.
  void all_gather(Works& w, const char* what, std::int64_t cols) const;
  void reduce_scatter(Works& w, const char* what, std::int64_t cols) const;
  /// Nothing unless FP8.
  void quantize(Works& w, std::string what, std::int64_t rows, std::int64_t cols, bool transpose,
                Dtype from = Dtype::bf16) const;
};

/// Y [rows, out] = X [rows, in] W^T, or `groups` of them (experts) with `rows` each.
struct Linear {
  const char* name = "";
  std::int64_t rows = 0, in = 0, out = 0;
  Dtype dtype = Dtype::bf16;
  std::int64_t groups = 0;
  std::int64_t all_rows() const { return groups > 0 ? groups * rows : rows; }
};
void forward(Works& w, const Linear& l);
void dgrad(Works& w, const Linear& l);  ///< dX [rows, in] = dY [rows, out] W
void wgrad(Works& w, const Linear& l);  ///< dW [out, in] += dY^T X

/// Appends `ops`, marked recomputed.
void repeat(Works& w, const Works& ops);

struct Norm {
  const char* name;
  RmsNorm shape;
};

/// Attention as data. MLA: `down` makes the latents (q_a and kv_a as one GEMM, as DeepSeek's kernels do: N = 2112),
/// which are normalised and, under TP, gathered; `up` are q_b and kv_b. GQA: no `down`; `up` is the fused q, k, v.
struct AttentionPart {
  std::vector<Linear> down, up;
  std::vector<Norm> latent_norms, head_norms;
  Linear out;
  Attention core;
  std::int64_t gathered = 0;  ///< columns of the input of `up`, which TP gathers
  std::int64_t q_rope = 0, k_rope = 0;
};
AttentionPart attention_part(const Local& l);

void attention_forward(Works& w, const Local& l, const AttentionPart& a);
void attention_backward(Works& w, const Local& l, const AttentionPart& a);
void attention_weight(Works& w, const Local& l, const AttentionPart& a);

/// down(SwiGLU(gate_up(x))): dense MLP, shared expert or the rank's routed experts.
struct MlpPart {
  const char* swiglu = "";  ///< its name
  Linear gate_up, down;
};
MlpPart dense_part(const Local& l);
MlpPart shared_part(const Local& l);
MlpPart experts_part(const Local& l);
/// Distinct tokens that arrive at an expert-parallel rank.
std::int64_t received_tokens(const Local& l);

/// MLP(F), MLP(B), MLP(W) of a dense layer, and of an MoE layer.
void dense_work(LayerWork& w, const Local& l);
void moe_work(LayerWork& w, const Local& l);

}  // namespace railcast
