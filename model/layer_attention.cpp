// MLA and GQA attention lowered to Shapes. BF16 stays in the core, norms and RoPE; the projections are in the plan's
// precision (V3 report, 3.3.1). Under TP the norms and MLA's down-projections run on the rank's sequence shard with
// replicated weights, and what is gathered is the small latents; q, k, v and o are split by heads.
#include <algorithm>

#include "model/layer_parts.hpp"

namespace railcast {
namespace {

Attention core_shape(const Local& l, std::int64_t kv_heads, std::int64_t d_qk, std::int64_t d_v) {
  Attention a;
  a.batch = l.p.micro_batch;
  a.kv_len = l.sequence;
  a.heads = share(l.t.num_attention_heads, l.p.tp, "num_attention_heads over tp");
  a.kv_heads = kv_heads;
  a.d_qk = d_qk;
  a.d_v = d_v;
  // Ring: a shard of the queries against all keys, halved for the mask: shards are dealt so that ranks are balanced.
  // All-to-all: all queries for a share of the heads.
  const bool ring = l.p.context_parallel == ContextParallel::ring;
  a.q_len = ring ? l.sequence / l.p.cp : l.sequence;
  if (!ring) {
    a.heads = share(a.heads, l.p.cp, "attention heads of a rank over cp");
    a.kv_heads = std::max<std::int64_t>(1, a.kv_heads / l.p.cp);
  }
  return a;
}

AttentionPart mla_part(const Local& l) {
  const Transformer& t = l.t;
  const std::int64_t heads = share(t.num_attention_heads, l.p.tp, "num_attention_heads over tp");
  const std::int64_t d_qk = t.qk_nope_head_dim + t.qk_rope_head_dim, kv_a = t.kv_lora_rank + t.qk_rope_head_dim;
  const Dtype d = l.p.precision;
  AttentionPart a;
  a.out = {"o_proj", l.tokens, heads * t.v_head_dim, t.hidden_size, d};
  if (t.q_lora_rank > 0) {
    a.down = {{"q_a_proj+kv_a_proj_with_mqa", l.sharded, t.hidden_size, t.q_lora_rank + kv_a, d}};
    a.latent_norms = {{"q_a_layernorm", {l.sharded, t.q_lora_rank}}};
    a.up = {{"q_b_proj", l.tokens, t.q_lora_rank, heads * d_qk, d}};
  } else {
    a.down = {{"kv_a_proj_with_mqa", l.sharded, t.hidden_size, kv_a, d}};
    a.up = {{"q_proj", l.tokens, t.hidden_size, heads * d_qk, d}};
  }
  a.latent_norms.push_back({"kv_a_layernorm", {l.sharded, t.kv_lora_rank}});
  a.up.push_back({"kv_b_proj", l.tokens, t.kv_lora_rank, heads * (t.qk_nope_head_dim + t.v_head_dim), d});
  a.core = core_shape(l, heads, d_qk, t.v_head_dim);
  a.gathered = a.up.front().in + kv_a;
  a.q_rope = heads * t.qk_rope_head_dim;
  // Attention reads one key of nope + rope elements a head, so that forward the up-projected part is read and copied
  // beside the rotated shared part, and backward they are taken apart: nope read, nope + rope written.
  a.k_rope = heads * (t.qk_nope_head_dim + t.qk_rope_head_dim / 2);
  return a;
}

AttentionPart gqa_part(const Local& l) {
  const Transformer& t = l.t;
  const std::int64_t heads = share(t.num_attention_heads, l.p.tp, "num_attention_heads over tp");
  const std::int64_t kv = std::max<std::int64_t>(1, t.num_key_value_heads / l.p.tp), hd = t.head_dim;
  const Dtype d = l.p.precision;
  AttentionPart a;
  a.out = {"o_proj", l.tokens, heads * hd, t.hidden_size, d};
  a.up = {{"qkv_proj", l.tokens, t.hidden_size, (heads + 2 * kv) * hd, d}};
  if (t.qk_norm && t.qk_norm_full)
    a.head_norms = {{"q_norm", {l.tokens, heads * hd}}, {"k_norm", {l.tokens, kv * hd}}};
  else if (t.qk_norm)
    a.head_norms = {{"q_norm", {l.tokens * heads, hd}}, {"k_norm", {l.tokens * kv, hd}}};
  a.core = core_shape(l, kv, hd, hd);
  a.gathered = t.hidden_size;
  const std::int64_t rotary = t.qk_rope_head_dim > 0 ? t.qk_rope_head_dim : hd;
  a.q_rope = heads * rotary;
  a.k_rope = kv * rotary;
  return a;
}

void norms(Works& w, const std::vector<Norm>& list, bool backward) {
  for (const Norm& n : list) {
    RmsNorm shape = n.shape;
    shape.backward = backward;
    w.push_back({std::string(n.name) + (backward ? ".backward" : ""), shape});
  }
}

/// The norm and, in MLA, the latents.
void attention_input(Works& w, const Local& l, const AttentionPart& a) {
  w.push_back({"input_layernorm", RmsNorm{l.sharded, l.t.hidden_size}});
  for (const Linear& d : a.down) {
    l.quantize(w, std::string(d.name) + ".quantize", d.rows, d.in, false);
    forward(w, d);
  }
}

/// From normalised latents (or input) to roped q, k and v. `transpose`: also the copies that W needs.
void attention_up(Works& w, const Local& l, const AttentionPart& a, bool transpose) {
  norms(w, a.latent_norms, false);
  l.all_gather(w, "attention.all_gather", a.gathered);
  for (const Linear& u : a.up) {
    l.quantize(w, std::string(u.name) + ".quantize", u.rows, u.in, transpose);
    forward(w, u);
  }
  norms(w, a.head_norms, false);
  w.push_back({"rope.q", Rope{l.tokens, a.q_rope}});
  w.push_back({"rope.k", Rope{l.tokens, a.k_rope}});
}

std::int64_t cp_per_node(const Local& l) { return std::clamp<std::int64_t>(l.gpus_per_node / l.p.tp, 1, l.p.cp); }

/// BF16 columns of this rank's k and v before context parallelism.
std::int64_t kv_columns(const Local& l, const AttentionPart& a) {
  const bool ring = l.p.context_parallel == ContextParallel::ring;
  return (ring ? a.core.kv_heads : a.core.kv_heads * l.p.cp) * (a.core.d_qk + a.core.d_v);
}

/// Context parallelism around the core. Ring: every rank's k and v pass every rank, the bytes of an all-gather
/// (backward: gathered again, and their gradients scattered). All-to-all: q, k, v to head shares and back.
void context_exchange(Works& w, const Local& l, const AttentionPart& a, bool backward) {
  if (l.p.cp == 1) return;
  const std::int64_t kv = kv_columns(l, a), ranks = l.p.cp, node = cp_per_node(l);
  if (l.p.context_parallel == ContextParallel::ring) {
    w.push_back({"cp.ring.kv", AllGather{2 * l.tokens * ranks * kv, ranks, node}});
    if (backward) w.push_back({"cp.ring.dkv", ReduceScatter{2 * l.tokens * ranks * kv, ranks, node}});
    return;
  }
  const std::int64_t heads = a.core.heads * ranks;
  w.push_back({"cp.all_to_all.qkv", AllToAll{2 * l.tokens * (heads * a.core.d_qk + kv), ranks, node}});
  w.push_back({"cp.all_to_all.o", AllToAll{2 * l.tokens * heads * a.core.d_v, ranks, node}});
}

void core(Works& w, const Local& l, const AttentionPart& a, bool backward) {
  context_exchange(w, l, a, backward);
  Attention shape = a.core;
  shape.backward = backward;
  w.push_back({backward ? "attention.backward" : "attention", shape});
}

/// dY of `u` to dX. Both orientations of dY are quantised at once: rows for dgrad, columns for wgrad.
void linear_backward(Works& w, const Local& l, const Linear& u) {
  l.quantize(w, std::string(u.name) + ".gradient.quantize", u.rows, u.out, true);
  dgrad(w, u);
}

/// What the plan recomputes. The quantised copies made here serve W as well, so W does not transpose caches.
void recompute(Works& w, const Local& l, const AttentionPart& a) {
  Works again;
  const bool up = l.t.mla() && l.p.recomputes("mla_up");
  if (l.p.recomputes("rmsnorm")) {
    again.push_back({"input_layernorm", RmsNorm{l.sharded, l.t.hidden_size}});
    for (const Linear& d : a.down) l.quantize(again, std::string(d.name) + ".quantize", d.rows, d.in, false);
    if (!up) {
      norms(again, a.latent_norms, false);
      l.all_gather(again, "attention.all_gather", a.gathered);
      for (const Linear& u : a.up) l.quantize(again, std::string(u.name) + ".quantize", u.rows, u.in, false);
    }
  }
  if (up) attention_up(again, l, a, true);
  if (l.p.recomputes("attention")) core(again, l, a, false);
  repeat(w, again);
}

}  // namespace

AttentionPart attention_part(const Local& l) { return l.t.mla() ? mla_part(l) : gqa_part(l); }

/// ATTN(F) up to the residual sum.
void attention_forward(Works& w, const Local& l, const AttentionPart& a) {
  attention_input(w, l, a);
  attention_up(w, l, a, false);
  core(w, l, a, false);
  // E4M3 for the GEMM and, in the same pass, the E5M6 copy that is kept (V3 report, 3.3.3).
  l.quantize(w, "o_proj.quantize", a.out.rows, a.out.in, true);
  forward(w, a.out);
  l.reduce_scatter(w, "attention.reduce_scatter", l.t.hidden_size);
  w.push_back({"residual.add", Add{l.sharded, l.t.hidden_size}});
}

/// From the gradient of the attention block's sum to that of the layer's input.
void attention_backward(Works& w, const Local& l, const AttentionPart& a) {
  l.all_gather(w, "attention.gradient.all_gather", l.t.hidden_size);
  linear_backward(w, l, a.out);
  recompute(w, l, a);
  core(w, l, a, true);
  w.push_back({"rope.q.backward", Rope{l.tokens, a.q_rope}});
  w.push_back({"rope.k.backward", Rope{l.tokens, a.k_rope}});
  norms(w, a.head_norms, true);
  for (const Linear& u : a.up) linear_backward(w, l, u);
  l.reduce_scatter(w, "attention.gradient.reduce_scatter", a.gathered);
  norms(w, a.latent_norms, true);
  for (const Linear& d : a.down) linear_backward(w, l, d);
  w.push_back({"input_layernorm.backward", RmsNorm{l.sharded, l.t.hidden_size, true}});
  w.push_back({"residual.gradient.add", Add{l.sharded, l.t.hidden_size}});
}

/// Wgrads. A cached 1x128 (or E5M6) input is requantised to its 128x1 transpose first; a recomputed one already is.
void attention_weight(Works& w, const Local& l, const AttentionPart& a) {
  const bool norm = l.p.recomputes("rmsnorm"), up = norm || (l.t.mla() && l.p.recomputes("mla_up"));
  const auto weight = [&](const Linear& x, bool ready) {
    if (!ready) l.quantize(w, std::string(x.name) + ".input.transpose", x.rows, x.in, false, Dtype::fp8_block);
    wgrad(w, x);
  };
  weight(a.out, false);
  if (!up) l.all_gather(w, "attention.all_gather", a.gathered);
  for (const Linear& u : a.up) weight(u, up);
  for (const Linear& d : a.down) weight(d, norm);
}

}  // namespace railcast
