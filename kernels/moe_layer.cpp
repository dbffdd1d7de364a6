#include "kernels/moe_layer.hpp"

#include <string>

#include "kernels/error.hpp"
#include "kernels/permute.hpp"
#include "kernels/quantize.hpp"
#include "kernels/requantize.hpp"
#include "kernels/swiglu.hpp"
#include "kernels/unpermute.hpp"

namespace railcast::kernels {
namespace {

template <typename T>
void take(DeviceArray<T>& array, std::int64_t count) {
  array = DeviceArray<T>(static_cast<std::size_t>(count));
}

ExchangeShape exchange_shape(const MoeShape& s, std::int64_t row_bytes, std::int64_t groups) {
  return {.ranks = s.ranks,
          .tokens = s.tokens,
          .experts = s.gating.experts,
          .top_k = s.gating.top_k,
          .row_bytes = row_bytes,
          .groups = groups,
          .cols = s.hidden};
}

}  // namespace

void MoeWeights::set(const MoeShape& s, std::int64_t e, const Bf16* w1_bf16, const Bf16* w2_bf16) {
  const std::int64_t n1 = 2 * s.inner * s.hidden, n2 = s.hidden * s.inner;
  quantize_weight({.n = 2 * s.inner,
                   .k = s.hidden,
                   .w = w1_bf16,
                   .q = w1.get() + e * n1,
                   .scales = s1.get() + e * n1 / 16384,
                   .q_t = w1_t.get() + e * n1,
                   .scales_t = s1_t.get() + e * n1 / 16384},
                  {});
  quantize_weight({.n = s.hidden,
                   .k = s.inner,
                   .w = w2_bf16,
                   .q = w2.get() + e * n2,
                   .scales = s2.get() + e * n2 / 16384,
                   .q_t = w2_t.get() + e * n2,
                   .scales_t = s2_t.get() + e * n2 / 16384},
                  {});
}

MoeLayer::MoeLayer(const MoeShape& s)
    : shape(s),
      there_shape_(exchange_shape(s, s.hidden, s.hidden / 128)),
      back_shape_(exchange_shape(s, 2 * s.hidden, 0)),
      there_(s.ranks, window_of(there_shape_).bytes),
      back_(s.ranks, window_of(back_shape_).bytes) {
  const std::int64_t tokens = s.ranks * s.tokens, rows = s.rows, h = s.hidden, i = s.inner, e = s.gating.experts,
                     choices = tokens * s.gating.top_k;
  take(x, tokens * h), take(out, tokens * h), take(d_out, tokens * h), take(d_x, tokens * h);
  take(logits, tokens * e), take(d_logits, tokens * e), take(chosen, choices), take(choice_weights, choices);
  take(d_choice_weights, choices), take(x_q_, tokens * h), take(x_scales_, tokens * h / 128);
  take(places_, tokens * s.ranks), take(places_back_, tokens * s.ranks), take(received_, s.ranks);
  const std::int64_t n1 = e * 2 * i * h, n2 = e * h * i;
  take(weights.w1, n1), take(weights.w1_t, n1), take(weights.w2, n2), take(weights.w2_t, n2);
  take(weights.s1, n1 / 16384), take(weights.s1_t, n1 / 16384), take(weights.s2, n2 / 16384);
  take(weights.s2_t, n2 / 16384), take(weights.d_w1, n1), take(weights.d_w2, n2);
  throw_unless(cudaMemset(weights.d_w1.get(), 0, weights.d_w1.bytes()), "clearing gradients");
  throw_unless(cudaMemset(weights.d_w2.get(), 0, weights.d_w2.bytes()), "clearing gradients");
  throw_unless(cudaDeviceSynchronize(), "clearing gradients");
  kept_.resize(static_cast<std::size_t>(s.ranks));
  for (Kept& k : kept_) {
    take(k.a, rows * h), take(k.a_scales, rows * h / 128), take(k.gate_up, rows * 2 * i);
    take(k.gate_up_scales, rows * 2 * i / 128), take(k.y, rows * h), take(k.row_of, choices);
    take(k.choice_of, rows), take(k.block_group, rows / 128), take(k.offsets, s.experts_each() + 1);
  }
  take(s_.gate_up, rows * 2 * i), take(s_.d_y, rows * h), take(s_.d_h, rows * i), take(s_.d_rows, rows * h);
  take(s_.h, rows * i), take(s_.h_t, rows * i), take(s_.d_y_q, rows * h), take(s_.d_y_t, rows * h);
  take(s_.d_gate_up, rows * 2 * i), take(s_.d_gate_up_t, rows * 2 * i), take(s_.a_t, rows * h);
  take(s_.h_scales, rows * i / 128), take(s_.h_t_scales, rows * i / 128), take(s_.d_y_scales, rows * h / 128);
  take(s_.d_y_t_scales, rows * h / 128), take(s_.d_gate_up_scales, rows * 2 * i / 128);
  take(s_.d_gate_up_t_scales, rows * 2 * i / 128), take(s_.a_t_scales, rows * h / 128);
  take(s_.map, map_scratch(tokens, s.gating.top_k, s.experts_each()));
  dispatch_.shape = combine_.shape = there_shape_, dispatch_back_.shape = combine_back_.shape = back_shape_;
  dispatch_.peers = combine_.peers = there_.peers(), dispatch_back_.peers = combine_back_.peers = back_.peers();
  dispatch_.token_stride = 1, dispatch_.group_stride = s.tokens;
  for (int r = 0; r < s.ranks; ++r) {
    const std::int64_t t = r * s.tokens, c = t * s.gating.top_k;
    dispatch_.rank[r] = {.tokens = s.tokens,
                         .x = x_q_.get() + t * h,
                         .scales = x_scales_.get() + t * h / 128,
                         .chosen = chosen.get() + c,
                         .weights = choice_weights.get() + c,
                         .places = places_.get() + t * s.ranks,
                         .received = received_.get() + r};
    dispatch_back_.rank[r] = {.tokens = s.tokens,
                              .x = d_out.get() + t * h,
                              .chosen = chosen.get() + c,
                              .weights = choice_weights.get() + c,
                              .places = places_back_.get() + t * s.ranks};
    combine_.rank[r] = {.tokens = s.tokens, .places = places_.get() + t * s.ranks, .out = out.get() + t * h};
    combine_back_.rank[r] = {.tokens = s.tokens,
                             .places = places_back_.get() + t * s.ranks,
                             .chosen = chosen.get() + c,
                             .out = d_x.get() + t * h,
                             .out_weights = d_choice_weights.get() + c};
  }
}

void MoeLayer::forward(cudaStream_t stream) {
  const Launch on{.stream = stream}, exchange{.stream = stream, .sms = shape.sms > 0 ? shape.sms : 132};
  gate({.gating = shape.gating,
        .tokens = received(),
        .logits = logits.get(),
        .experts = chosen.get(),
        .weights = choice_weights.get()},
       on);
  for (int r = 0; r < shape.ranks; ++r) {
    const std::int64_t first = r * shape.tokens * shape.hidden;
    quantize({.rows = shape.tokens,
              .cols = shape.hidden,
              .x = x.get() + first,
              .q = x_q_.get() + first,
              .scales = x_scales_.get() + first / 128,
              .scale_stride = shape.tokens},
             on);
  }
  dispatch_layout(dispatch_, on), dispatch(dispatch_, exchange);
  for (int r = 0; r < shape.ranks; ++r) forward_of(r, stream);
  combine(combine_, exchange);
}

/// d [rows, n] = a [rows, k] times each row's expert's b [n, k].
void MoeLayer::project(int rank, const E4m3* a, const float* scales, const E4m3* b, const float* b_scales,
                       std::int64_t n, std::int64_t k, Bf16* d, cudaStream_t stream) {
  const Kept& kept = kept_[static_cast<std::size_t>(rank)];
  const std::int64_t first = rank * shape.experts_each() * n * k;
  grouped_gemm_contiguous({.groups = shape.experts_each(),
                           .m = shape.rows,
                           .n = n,
                           .k = k,
                           .a = a,
                           .a_scales = scales,
                           .a_scale_stride = shape.rows,
                           .b = b + first,
                           .b_scales = b_scales + first / 16384,
                           .block_group = kept.block_group.get(),
                           .rows = kept.offsets.get() + shape.experts_each(),
                           .d = d,
                           .tile = {}},
                          {.stream = stream});
}

void MoeLayer::rows_by_expert(int rank, cudaStream_t stream) {
  const Launch on{.stream = stream};
  const Window w = window_of(there_shape_);
  const Peers& peers = dispatch_.peers;
  Kept& k = kept_[static_cast<std::size_t>(rank)];
  permute_map({.tokens = received(),
               .experts = shape.experts_each(),
               .top_k = shape.gating.top_k,
               .chosen = in_window<int>(peers, rank, w.experts),
               .chosen_stride = w.note_pitch / 4,
               .first_expert = rank * shape.experts_each(),
               .used = received_.get() + rank,
               .rows = shape.rows,
               .row_of = k.row_of.get(),
               .choice_of = k.choice_of.get(),
               .block_group = k.block_group.get(),
               .offsets = k.offsets.get(),
               .scratch = s_.map.get()},
              on);
  permute({.tokens = received(),
           .rows = shape.rows,
           .row_bytes = shape.hidden,
           .top_k = shape.gating.top_k,
           .x = in_window<E4m3>(peers, rank, w.x),
           .out = k.a.get(),
           .row_of = k.row_of.get(),
           .choice_of = k.choice_of.get(),
           .end = k.offsets.get() + shape.experts_each(),
           .used = received_.get() + rank,
           .groups = shape.hidden / 128,
           .scales = in_window<float>(peers, rank, w.scales),
           .token_stride = w.note_pitch / 4,
           .group_stride = 1,
           .scales_out = k.a_scales.get(),
           .scale_stride = shape.rows},
          on);
}

void MoeLayer::forward_of(int rank, cudaStream_t stream) {
  const Launch on{.stream = stream};
  const Window w = window_of(there_shape_);
  const Peers& peers = dispatch_.peers;
  Kept& k = kept_[static_cast<std::size_t>(rank)];
  rows_by_expert(rank, stream);
  project(rank, k.a.get(), k.a_scales.get(), weights.w1.get(), weights.s1.get(), 2 * shape.inner, shape.hidden,
          s_.gate_up.get(), stream);
  quantize({.rows = shape.rows,
            .cols = 2 * shape.inner,
            .x = s_.gate_up.get(),
            .q = k.gate_up.get(),
            .scales = k.gate_up_scales.get(),
            .scale_stride = shape.rows},
           on);
  swiglu({.rows = shape.rows,
          .cols = shape.inner,
          .gate_up = s_.gate_up.get(),
          .q = s_.h.get(),
          .scales = s_.h_scales.get(),
          .scale_stride = shape.rows},
         on);
  project(rank, s_.h.get(), s_.h_scales.get(), weights.w2.get(), weights.s2.get(), shape.hidden, shape.inner, k.y.get(),
          stream);
  unpermute({.tokens = received(),
             .cols = shape.hidden,
             .top_k = shape.gating.top_k,
             .y = k.y.get(),
             .row_of = k.row_of.get(),
             .weights = in_window<float>(peers, rank, w.weights),
             .weight_stride = w.note_pitch / 4,
             .used = received_.get() + rank,
             .out = in_window<Bf16>(peers, rank, w.y)},
            on);
}

void MoeLayer::backward(cudaStream_t stream) {
  const Launch on{.stream = stream}, exchange{.stream = stream, .sms = shape.sms > 0 ? shape.sms : 132};
  dispatch_layout(dispatch_back_, on), dispatch(dispatch_back_, exchange);
  for (int r = 0; r < shape.ranks; ++r) backward_of(r, stream);
  combine(combine_back_, exchange);
  gate_backward({.gating = shape.gating,
                 .tokens = received(),
                 .logits = logits.get(),
                 .experts = chosen.get(),
                 .d_weights = d_choice_weights.get(),
                 .d_logits = d_logits.get()},
                on);
}

void MoeLayer::backward_of(int rank, cudaStream_t stream) {
  const Launch on{.stream = stream};
  const Window w = window_of(back_shape_);
  const Peers& peers = dispatch_back_.peers;
  Kept& k = kept_[static_cast<std::size_t>(rank)];
  // unpermute_backward leaves padding rows alone, and wgrad sums over them.
  throw_unless(cudaMemsetAsync(s_.d_y.get(), 0, s_.d_y.bytes(), stream), "clearing padding");
  unpermute_backward({.tokens = received(),
                      .cols = shape.hidden,
                      .top_k = shape.gating.top_k,
                      .d_out = in_window<Bf16>(peers, rank, w.x),
                      .y = k.y.get(),
                      .row_of = k.row_of.get(),
                      .weights = in_window<float>(peers, rank, w.weights),
                      .weight_stride = w.note_pitch / 4,
                      .used = received_.get() + rank,
                      .d_y = s_.d_y.get(),
                      .d_weights = in_window<float>(peers, rank, w.y_weights)},
                     on);
  quantize({.rows = shape.rows,
            .cols = shape.hidden,
            .x = s_.d_y.get(),
            .q = s_.d_y_q.get(),
            .scales = s_.d_y_scales.get(),
            .scale_stride = shape.rows,
            .q_t = s_.d_y_t.get(),
            .scales_t = s_.d_y_t_scales.get()},
           on);
  project(rank, s_.d_y_q.get(), s_.d_y_scales.get(), weights.w2_t.get(), weights.s2_t.get(), shape.inner, shape.hidden,
          s_.d_h.get(), stream);
  swiglu_backward({.rows = shape.rows,
                   .cols = shape.inner,
                   .gate_up = k.gate_up.get(),
                   .gate_up_scales = k.gate_up_scales.get(),
                   .scale_stride = shape.rows,
                   .d_h = s_.d_h.get(),
                   .d_q = s_.d_gate_up.get(),
                   .d_scales = s_.d_gate_up_scales.get(),
                   .d_q_t = s_.d_gate_up_t.get(),
                   .d_scales_t = s_.d_gate_up_t_scales.get(),
                   .h_q_t = s_.h_t.get(),
                   .h_scales_t = s_.h_t_scales.get()},
                  on);
  project(rank, s_.d_gate_up.get(), s_.d_gate_up_scales.get(), weights.w1_t.get(), weights.s1_t.get(), shape.hidden,
          2 * shape.inner, s_.d_rows.get(), stream);
  expert_gradients(rank, stream);
  unpermute({.tokens = received(),
             .cols = shape.hidden,
             .top_k = shape.gating.top_k,
             .y = s_.d_rows.get(),
             .row_of = k.row_of.get(),
             .used = received_.get() + rank,
             .out = in_window<Bf16>(peers, rank, w.y)},
            on);
}

void MoeLayer::expert_gradients(int rank, cudaStream_t stream) {
  const Kept& k = kept_[static_cast<std::size_t>(rank)];
  const std::int64_t h = shape.hidden, i = shape.inner, first = rank * shape.experts_each() * h * i;
  requantize({.rows = shape.rows,
              .cols = h,
              .q = k.a.get(),
              .scales = k.a_scales.get(),
              .scale_stride = shape.rows,
              .q_t = s_.a_t.get(),
              .scales_t = s_.a_t_scales.get()},
             {.stream = stream});
  WgradArgs second{.m = h,
                   .n = i,
                   .k = shape.rows,
                   .a = s_.d_y_t.get(),
                   .a_scales = s_.d_y_t_scales.get(),
                   .a_scale_stride = h,
                   .b = s_.h_t.get(),
                   .b_scales = s_.h_t_scales.get(),
                   .b_scale_stride = i,
                   .d = weights.d_w2.get() + first,
                   .groups = shape.experts_each(),
                   .k_offsets = k.offsets.get(),
                   .tile = {}};
  wgrad(second, {.stream = stream});
  WgradArgs one = second;
  one.m = 2 * i, one.n = h;
  one.a = s_.d_gate_up_t.get(), one.a_scales = s_.d_gate_up_t_scales.get(), one.a_scale_stride = 2 * i;
  one.b = s_.a_t.get(), one.b_scales = s_.a_t_scales.get(), one.b_scale_stride = h;
  one.d = weights.d_w1.get() + 2 * first;
  wgrad(one, {.stream = stream});
}

void MoeLayer::check() const {
  throw_if_late(dispatch_.peers, "forward exchange"), throw_if_late(dispatch_back_.peers, "backward exchange");
  for (int r = 0; r < shape.ranks; ++r) {
    const int end = kept_[static_cast<std::size_t>(r)].offsets.host().back();
    if (end > shape.rows)
      throw KernelError(Fault::argument, "rank " + std::to_string(r) + " was given " + std::to_string(end) +
                                             " rows and has room for " + std::to_string(shape.rows));
  }
}

}  // namespace railcast::kernels
