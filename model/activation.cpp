// Bytes kept from forward to backward, per micro-batch, layer and rank (V3 report, 3.2.3 and 3.3.3).
#include "model/layer_parts.hpp"

namespace railcast {
namespace {

double elements(std::int64_t rows, std::int64_t cols) { return static_cast<double>(rows) * static_cast<double>(cols); }

/// Counts one layer's tensors. `forward` is false where the whole layer is recomputed: then nothing but its input is
/// kept from the forward pass.
class Kept {
 public:
  explicit Kept(const Local& l)
      : l_(l),
        cached_(l.fp8 ? (l.p.precision == Dtype::fp8_block ? 1 + 4.0 / 128 : 1) : 2),
        all_(l.p.recomputes("layer")),
        norm_(all_ || l.p.recomputes("rmsnorm")),
        swiglu_(all_ || l.p.recomputes("swiglu")) {}

  void attention(const AttentionPart& a) {
    const bool core = all_ || l_.p.recomputes("attention");
    const bool up = all_ || (l_.t.mla() && l_.p.recomputes("mla_up"));
    sum_.kept_for_b += 2 * elements(l_.sharded, l_.t.hidden_size);  // the layer's input, BF16
    for (const Linear& d : a.down) {
      input(d, norm_);
      if (!all_) sum_.kept_for_b += 2 * elements(d.rows, d.out);  // latents before their norms, BF16
    }
    for (const Linear& u : a.up) split_input(u, up || norm_);
    if (!up) sum_.kept_for_b += qkv(a);
    for (const Norm& n : a.head_norms)
      if (!all_) sum_.kept_for_b += 2 * elements(n.shape.rows, n.shape.cols);
    output(a, core);
  }

  void mlp(const MlpPart& m, bool input_made) {
    m.gate_up.groups > 0 ? input(m.gate_up, input_made) : split_input(m.gate_up, input_made);
    if (!all_) sum_.kept_for_b += cached_ * elements(m.gate_up.all_rows(), m.gate_up.out);  // SwiGLU's input
    input(m.down, swiglu_);
  }

  void gate() {
    const Transformer& t = l_.t;
    const double scores = 4 * elements(l_.sharded, t.n_routed_experts);                      // FP32
    if (!all_) sum_.kept_for_b += scores + 8 * elements(l_.sharded, t.num_experts_per_tok);  // an index and a weight
    keep(2 * elements(l_.sharded, t.hidden_size), norm_);
    sum_.made_for_w += scores;
  }

  void residual() {  // the input of the second norm, BF16
    if (!all_) sum_.kept_for_b += 2 * elements(l_.sharded, l_.t.hidden_size);
  }

  bool norm_recomputed() const { return norm_; }
  LayerActivation sum() const { return sum_; }

 private:
  /// What W reads: kept since the forward pass, or made again by B.
  void keep(double bytes, bool made) { (made ? sum_.made_for_w : sum_.kept_for_w) += bytes; }

  /// Both of a wgrad's operands: X, and dY, which only B makes.
  void input(const Linear& x, bool made) {
    keep(cached_ * elements(x.all_rows(), x.in), made);
    sum_.made_for_w += cached_ * elements(x.all_rows(), x.out);
  }

  /// The same where TP splits the output: the gathered input is kept as this rank's shard, and gathered again.
  void split_input(const Linear& x, bool made) {
    keep(cached_ * elements(made ? x.rows : l_.sharded, x.in), made);
    sum_.made_for_w += cached_ * elements(x.rows, x.out);
  }

  /// BF16 q, k and v for the attention backward.
  double qkv(const AttentionPart& a) const {
    const std::int64_t ranks = l_.p.context_parallel == ContextParallel::ring ? 1 : l_.p.cp;
    const Attention& c = a.core;
    return 2 * static_cast<double>(ranks) * elements(l_.tokens, c.heads * c.d_qk + c.kv_heads * (c.d_qk + c.d_v));
  }

  /// The attention's output is the input of o_proj and of the attention backward: E5M6, 12 bits, under FP8. With it,
  /// the FP32 log-sum-exp.
  void output(const AttentionPart& a, bool made) {
    keep((l_.fp8 ? cached_ + 0.5 : 2) * elements(a.out.rows, a.out.in), made);
    sum_.made_for_w += cached_ * elements(a.out.rows, a.out.out);
    const std::int64_t heads = a.out.in / a.core.d_v;
    if (!made) sum_.kept_for_b += 4 * elements(l_.tokens, heads);
  }

  const Local& l_;
  double cached_;  ///< bytes of a cached GEMM input with its scales
  bool all_, norm_, swiglu_;
  LayerActivation sum_;
};

}  // namespace

LayerActivation layer_activation(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence) {
  const Local l(t, p, sequence, 1);  // bytes kept do not depend on the node's size
  Kept kept(l);
  kept.attention(attention_part(l));
  kept.residual();
  if (!t.moe(layer)) {
    kept.mlp(dense_part(l), kept.norm_recomputed());
    return kept.sum();
  }
  kept.gate();
  if (t.shared_intermediate_size > 0) kept.mlp(shared_part(l), kept.norm_recomputed());
  kept.mlp(experts_part(l), p.recomputes("layer"));
  return kept.sum();
}

double boundary_bytes(const Transformer& t, const Plan& p, std::int64_t sequence) {
  return 2 * elements(Local(t, p, sequence, 1).sharded, t.hidden_size);
}

double logits_bytes(const Transformer& t, const Plan& p, std::int64_t sequence) {
  return 2 * elements(Local(t, p, sequence, 1).tokens, (t.vocab_size + p.tp - 1) / p.tp);
}

}  // namespace railcast
