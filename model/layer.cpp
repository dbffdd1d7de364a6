#include "model/layer.hpp"

#include <algorithm>
#include <utility>

#include "model/layer_parts.hpp"

namespace railcast {
namespace {

/// A recomputed layer runs whole again before its backward, so nothing else is left to recompute.
Plan effective(const Plan& p) {
  Plan q = p;
  if (p.recomputes("layer")) q.recompute = {"layer"};
  return q;
}

/// The gradient travels to the experts in FP8, so the layer above a V3 MoE layer quantises it.
void gradient_for_dispatch(Works& w, const Local& l, std::int64_t below) {
  if (l.p.precision == Dtype::fp8_block && l.p.ep > 1 && below >= 0 && below < l.t.num_hidden_layers && l.t.moe(below))
    l.quantize(w, "dispatch.gradient.quantize", l.sharded, l.t.hidden_size, false);
}

/// The router, BF16 (V3 report, 3.3.1), at the end of ATTN(F); its output and the quantised tokens go to dispatch.
void gate_forward(Works& w, const Local& l) {
  const Transformer& t = l.t;
  w.push_back({"gate", Gemm{l.sharded, t.n_routed_experts, t.hidden_size, Dtype::bf16}});
  w.push_back({"gate.top_k", Gate{l.sharded, t.n_routed_experts, t.n_group, t.num_experts_per_tok}});
  if (l.p.precision == Dtype::fp8_block) l.quantize(w, "dispatch.quantize", l.sharded, t.hidden_size, false);
}

void gate_backward(Works& w, const Local& l) {
  const Transformer& t = l.t;
  if (t.shared_intermediate_size > 0) w.push_back({"shared.gradient.add", Add{l.sharded, t.hidden_size}});
  w.push_back({"gate.top_k.backward", Gate{l.sharded, t.n_routed_experts, t.n_group, t.num_experts_per_tok, true}});
  w.push_back({"gate.dgrad", Gemm{l.sharded, t.hidden_size, t.n_routed_experts, Dtype::bf16}});
}

void append(Works& w, const Works& more) { w.insert(w.end(), more.begin(), more.end()); }

/// Forward again up to what the backward needs: not the combine. The dispatch is repeated where it is needed.
void recompute_layer(LayerWork& w) {
  Works again = w.attn_f;
  append(again, w.dispatch_f);
  append(again, w.mlp_f);
  Works all;
  repeat(all, again);
  append(all, w.mlp_b);
  w.mlp_b = std::move(all);
}

}  // namespace

LayerWork layer_work(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence,
                     std::int64_t gpus_per_node) {
  const Plan plan = effective(p);
  const Local l(t, plan, sequence, gpus_per_node);
  const AttentionPart attention = attention_part(l);
  const bool moe = t.moe(layer);
  LayerWork w;
  attention_forward(w.attn_f, l, attention);
  w.attn_f.push_back({"post_attention_layernorm", RmsNorm{l.sharded, t.hidden_size}});
  if (moe) {
    gate_forward(w.attn_f, l);
    moe_work(w, l);
    gate_backward(w.attn_b, l);
    w.attn_w.push_back({"gate.wgrad", Wgrad{t.n_routed_experts, t.hidden_size, l.sharded, Dtype::bf16}});
  } else {
    dense_work(w, l);
  }
  w.attn_b.push_back({"post_attention_layernorm.backward", RmsNorm{l.sharded, t.hidden_size, true}});
  w.attn_b.push_back({"residual.gradient.add", Add{l.sharded, t.hidden_size}});
  attention_backward(w.attn_b, l, attention);
  gradient_for_dispatch(w.attn_b, l, layer - 1);
  attention_weight(w.attn_w, l, attention);
  if (plan.recomputes("layer")) recompute_layer(w);
  return w;
}

/// Vocabulary-parallel under TP: each rank looks up its rows for all tokens, and the sum is scattered. BF16.
EdgeWork embedding_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node) {
  const Local l(t, p, sequence, gpus_per_node);
  EdgeWork e;
  e.forward.push_back({"embed_tokens", Embedding{l.tokens, t.hidden_size}});
  l.reduce_scatter(e.forward, "embed_tokens.reduce_scatter", t.hidden_size);
  l.all_gather(e.weight, "embed_tokens.all_gather", t.hidden_size);
  e.weight.push_back({"embed_tokens.backward", Embedding{l.tokens, t.hidden_size, true}});
  return e;
}

/// Final norm, head [tokens, vocab/tp] in BF16, and the loss. Under TP the loss exchanges a maximum, a sum and the
/// target's logit per token (FP32).
EdgeWork head_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node) {
  const Local l(t, p, sequence, gpus_per_node);
  const Linear head{"lm_head", l.tokens, t.hidden_size, (t.vocab_size + p.tp - 1) / p.tp, Dtype::bf16};
  EdgeWork e;
  e.forward.push_back({"norm", RmsNorm{l.sharded, t.hidden_size}});
  l.all_gather(e.forward, "lm_head.all_gather", t.hidden_size);
  forward(e.forward, head);
  e.forward.push_back({"cross_entropy", CrossEntropy{l.tokens, head.out}});
  if (p.tp > 1)
    e.forward.push_back({"cross_entropy.all_reduce", AllReduce{12 * l.tokens, p.tp, std::min(p.tp, gpus_per_node)}});
  dgrad(e.backward, head);
  l.reduce_scatter(e.backward, "lm_head.reduce_scatter", t.hidden_size);
  e.backward.push_back({"norm.backward", RmsNorm{l.sharded, t.hidden_size, true}});
  gradient_for_dispatch(e.backward, l, t.num_hidden_layers - 1);
  wgrad(e.weight, head);
  return e;
}

/// Embedding of the shifted token, the two norms and the projection of their concatenation, replicated under TP and
/// run on the sequence shard. Its input of 2h comes from two tensors, so the backward ends in two norms' gradients.
EdgeWork mtp_edge_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node) {
  const Local l(t, p, sequence, gpus_per_node);
  const std::int64_t h = t.hidden_size;
  const Linear projection{"eh_proj", l.sharded, 2 * h, h, p.precision};
  EdgeWork e = embedding_work(t, p, sequence, gpus_per_node);
  append(e.forward, {{"enorm", RmsNorm{l.sharded, h}}, {"hnorm", RmsNorm{l.sharded, h}}});
  l.quantize(e.forward, "eh_proj.quantize", l.sharded, 2 * h, false);
  forward(e.forward, projection);
  l.quantize(e.backward, "eh_proj.gradient.quantize", l.sharded, h, true);
  dgrad(e.backward, projection);
  e.backward.push_back({"enorm.backward", RmsNorm{l.sharded, h, true}});
  e.backward.push_back({"hnorm.backward", RmsNorm{l.sharded, h, true}});
  e.backward.push_back({"gradient.add", Add{l.sharded, h}});
  l.quantize(e.weight, "eh_proj.input.transpose", l.sharded, 2 * h, false, Dtype::fp8_block);
  wgrad(e.weight, projection);
  return e;
}

}  // namespace railcast
