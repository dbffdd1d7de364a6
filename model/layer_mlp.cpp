// Dense MLP, shared expert and routed experts lowered to Shapes, with what stands around them.
#include <algorithm>
#include <cmath>
#include <string>

#include "model/layer_parts.hpp"

namespace railcast {
namespace {

/// V3 quantises before dispatch, so its experts receive E4M3; with other precisions tokens travel in BF16.
bool dispatched_in_fp8(const Local& l) { return l.p.precision == Dtype::fp8_block; }

Dtype dispatch_dtype(const Local& l) { return dispatched_in_fp8(l) ? Dtype::fp8_block : Dtype::bf16; }

void mlp_forward(Works& w, const Local& l, const MlpPart& m) {
  forward(w, m.gate_up);
  w.push_back({m.swiglu, SwiGlu{m.down.all_rows(), m.down.in, false, l.fp8}});
  forward(w, m.down);
}

/// From a quantised dY to dX (BF16). The SwiGLU output that down's wgrad needs is recomputed straight into its
/// transposed copy where the plan says so.
void mlp_backward(Works& w, const Local& l, const MlpPart& m) {
  const std::int64_t rows = m.down.all_rows();
  dgrad(w, m.down);
  if (l.p.recomputes("swiglu")) w.push_back({m.swiglu, SwiGlu{rows, m.down.in, false, l.fp8}, true});
  w.push_back({std::string(m.swiglu) + ".backward", SwiGlu{rows, m.down.in, true, l.fp8}});
  l.quantize(w, std::string(m.gate_up.name) + ".gradient.transpose", rows, m.gate_up.out, false, Dtype::fp8_block);
  dgrad(w, m.gate_up);
}

/// `input_ready`: the transposed copy of gate_up's input exists already.
void mlp_weight(Works& w, const Local& l, const MlpPart& m, bool input_ready) {
  const std::int64_t rows = m.down.all_rows();
  if (!l.p.recomputes("swiglu"))
    l.quantize(w, std::string(m.down.name) + ".input.transpose", rows, m.down.in, false, Dtype::fp8_block);
  wgrad(w, m.down);
  if (!input_ready)
    l.quantize(w, std::string(m.gate_up.name) + ".input.transpose", rows, m.gate_up.in, false, Dtype::fp8_block);
  wgrad(w, m.gate_up);
}

MlpPart token_part(const Local& l, const char* swiglu, const char* gate_up, const char* down, std::int64_t width) {
  const std::int64_t h = l.t.hidden_size, w = share(width, l.p.tp, "MLP width over tp");
  return {swiglu, {gate_up, l.tokens, h, 2 * w, l.p.precision}, {down, l.tokens, w, h, l.p.precision}};
}

/// MLP on the rank's own tokens. `quantised`: the input's 1x128 copy exists already.
void token_forward(Works& w, const Local& l, const MlpPart& m, bool quantised) {
  l.all_gather(w, "mlp.all_gather", m.gate_up.in);
  if (!quantised) l.quantize(w, "mlp.quantize", l.tokens, m.gate_up.in, false);
  mlp_forward(w, l, m);
  l.reduce_scatter(w, "mlp.reduce_scatter", m.down.out);
}

void token_backward(Works& w, const Local& l, const MlpPart& m) {
  l.all_gather(w, "mlp.gradient.all_gather", m.down.out);
  l.quantize(w, "mlp.gradient.quantize", l.tokens, m.down.out, true);
  mlp_backward(w, l, m);
  l.reduce_scatter(w, "mlp.gradient.reduce_scatter", m.gate_up.in);
}

/// The recomputed norm gives W its transposed input; without recomputation W transposes the cached one.
void recomputed_norm(Works& w, const Local& l, bool token_mlp) {
  if (!l.p.recomputes("rmsnorm")) return;
  Works again{{"post_attention_layernorm", RmsNorm{l.sharded, l.t.hidden_size}}};
  if (token_mlp) {
    l.all_gather(again, "mlp.all_gather", l.t.hidden_size);
    l.quantize(again, "mlp.quantize", l.tokens, l.t.hidden_size, false);
  }
  repeat(w, again);
}

void token_weight(Works& w, const Local& l, const MlpPart& m) {
  const bool ready = l.p.recomputes("rmsnorm");
  if (!ready) l.all_gather(w, "mlp.all_gather", m.gate_up.in);
  mlp_weight(w, l, m, ready);
}

/// Expert tensor parallelism: each member needs every member's tokens, and holds a part of each sum.
template <class Collective>
void expert_collective(Works& w, const Local& l, const char* what, Dtype d) {
  if (l.p.etp == 1) return;
  const double bytes = static_cast<double>(received_tokens(l) * l.t.hidden_size) * bytes_per_element(d);
  w.push_back({what, Collective{std::llround(bytes), l.p.etp, std::min(l.p.etp, l.gpus_per_node)}});
}

void permute(Works& w, const Local& l, const char* what, const MlpPart& m) {
  w.push_back({what, Permute{received_tokens(l), m.gate_up.all_rows(), l.t.hidden_size, dispatch_dtype(l)}});
}

void unpermute(Works& w, const Local& l, const char* what, const MlpPart& m) {
  w.push_back({what, Unpermute{received_tokens(l), m.gate_up.all_rows(), l.t.hidden_size}});
}

void experts_forward(Works& w, const Local& l, const MlpPart& m) {
  expert_collective<AllGather>(w, l, "experts.all_gather", dispatch_dtype(l));
  permute(w, l, "permute", m);
  if (!dispatched_in_fp8(l)) l.quantize(w, "experts.quantize", m.gate_up.all_rows(), m.gate_up.in, false);
  mlp_forward(w, l, m);
  unpermute(w, l, "unpermute", m);
  expert_collective<ReduceScatter>(w, l, "experts.reduce_scatter", Dtype::bf16);
}

/// The gradient arrives as the tokens did; W needs its 128x1 copy. The gate weights' gradient comes out of SwiGLU's
/// backward, as the weights are applied before `down`.
void experts_backward(Works& w, const Local& l, const MlpPart& m) {
  expert_collective<AllGather>(w, l, "experts.gradient.all_gather", dispatch_dtype(l));
  permute(w, l, "permute.gradient", m);
  if (dispatched_in_fp8(l))
    l.quantize(w, "experts.gradient.transpose", m.down.all_rows(), m.down.out, false, Dtype::fp8_block);
  else
    l.quantize(w, "experts.gradient.quantize", m.down.all_rows(), m.down.out, true);
  mlp_backward(w, l, m);
  unpermute(w, l, "unpermute.gradient", m);
  expert_collective<ReduceScatter>(w, l, "experts.gradient.reduce_scatter", Dtype::bf16);
}

void exchange(LayerWork& w, const Local& l) {
  if (l.p.ep == 1) return;
  const Transformer& t = l.t;
  const Dispatch d{l.sharded, t.hidden_size, t.n_routed_experts, t.num_experts_per_tok,
                   l.p.ep,    t.n_group,     t.topk_group,       dispatch_dtype(l)};
  const Combine c{d.tokens, d.hidden, d.experts, d.top_k, d.ranks, d.groups, d.top_groups, Dtype::bf16};
  Dispatch first = d;
  first.notify = true;
  w.dispatch_f = {{"dispatch", first}};
  w.combine_f = {{"combine", c}};
  w.combine_b = {{"combine.backward", d}};
  w.dispatch_b = {{"dispatch.backward", c}};
}

}  // namespace

MlpPart dense_part(const Local& l) {
  return token_part(l, "mlp.swiglu", "mlp.gate_up_proj", "mlp.down_proj", l.t.intermediate_size);
}

MlpPart shared_part(const Local& l) {
  return token_part(l, "shared_experts.swiglu", "shared_experts.gate_up_proj", "shared_experts.down_proj",
                    l.t.shared_intermediate_size);
}

/// Balanced routing: the mean rows of an expert over the ep x etp ranks that send to it.
MlpPart experts_part(const Local& l) {
  const std::int64_t experts = share(l.t.n_routed_experts, l.p.ep, "n_routed_experts over ep");
  const std::int64_t width = share(l.t.moe_intermediate_size, l.p.etp, "moe_intermediate_size over etp");
  const auto selections = static_cast<double>(l.sharded * l.t.num_experts_per_tok * l.p.ep * l.p.etp);
  const std::int64_t rows = std::llround(selections / static_cast<double>(l.t.n_routed_experts));
  const std::int64_t h = l.t.hidden_size;
  return {"experts.swiglu",
          {"experts.gate_up_proj", rows, h, 2 * width, l.p.precision, experts},
          {"experts.down_proj", rows, width, h, l.p.precision, experts}};
}

/// As many as this rank's tokens reach ranks, by symmetry. Uniform router without group limit: 7.68 of V3's 64 ranks,
/// where sampling its group-limited gate (expected_reach) gives 7.48: 2.6 % of a permute's reads and an unpermute's
/// writes, too little to sample for every layer.
std::int64_t received_tokens(const Local& l) {
  const double reached = expected_ranks(l.t.n_routed_experts, l.t.num_experts_per_tok, l.p.ep);
  return std::llround(static_cast<double>(l.sharded * l.p.etp) * reached);
}

void dense_work(LayerWork& w, const Local& l) {
  const MlpPart m = dense_part(l);
  token_forward(w.mlp_f, l, m, false);
  w.mlp_f.push_back({"residual.add", Add{l.sharded, l.t.hidden_size}});
  recomputed_norm(w.mlp_b, l, true);
  token_backward(w.mlp_b, l, m);
  token_weight(w.mlp_w, l, m);
}

void moe_work(LayerWork& w, const Local& l) {
  const MlpPart experts = experts_part(l);
  const bool shared = l.t.shared_intermediate_size > 0;
  recomputed_norm(w.mlp_b, l, shared);
  if (shared) {
    const MlpPart s = shared_part(l);
    token_forward(w.mlp_f, l, s, dispatched_in_fp8(l) && l.p.tp == 1);
    token_backward(w.mlp_b, l, s);
    token_weight(w.mlp_w, l, s);
    w.mlp_f.push_back({"shared+residual.add", Add{l.sharded, l.t.hidden_size}});
  }
  experts_forward(w.mlp_f, l, experts);
  experts_backward(w.mlp_b, l, experts);
  mlp_weight(w.mlp_w, l, experts, false);
  // Between ranks, combine adds the residual while it reduces (DeepEP's combine takes it as a bias).
  if (l.p.ep == 1) w.mlp_f.push_back({"residual.add", Add{l.sharded, l.t.hidden_size}});
  exchange(w, l);
}

}  // namespace railcast
