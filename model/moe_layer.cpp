#include "model/moe_layer.hpp"

#include <cmath>

namespace railcast {
namespace {

constexpr Dtype kFp8 = Dtype::fp8_block;

/// Sizes that the ops share.
struct Sizes {
  std::int64_t here;     ///< ranks of a GPU
  std::int64_t each;     ///< experts of a rank
  std::int64_t used;     ///< tokens that a rank receives
  std::int64_t choices;  ///< of them on a rank
  std::int64_t m;        ///< of them at an expert

  explicit Sizes(const MoeLayer& l) : here(l.ranks / l.gpus), each(l.experts / l.ranks), choices(l.tokens * l.top_k) {
    used = std::llround(double(l.tokens) * expected_reach(dispatch(l), l.ranks).gpus);
    m = choices / each;
  }
  static Dispatch dispatch(const MoeLayer& l) {
    return {l.tokens, l.hidden, l.experts, l.top_k, l.ranks, l.groups, l.top_groups};
  }
};

MoeOp exchange(const MoeLayer& l, const char* what, bool combine, Dtype d) {
  OwnExchange e;
  e.shape = Sizes::dispatch(l), e.shape.dtype = d, e.combine = combine, e.gpus = l.gpus, e.sms = l.sms;
  return {what, e, 1};
}

GroupedGemm projection(const Sizes& s, std::int64_t n, std::int64_t k) { return {s.each, s.m, n, k, kFp8}; }

}  // namespace

std::vector<MoeOp> moe_forward(const MoeLayer& l) {
  const Sizes s(l);
  return {{"gate", Gate{s.here * l.tokens, l.experts, l.groups, l.top_k}, 1},
          {"quantize", Quantize{l.tokens, l.hidden}, s.here},
          exchange(l, "dispatch", false, kFp8),
          {"permute", Permute{s.used, s.choices, l.hidden, kFp8}, s.here},
          {"gate_up", projection(s, 2 * l.inner, l.hidden), s.here},
          {"gate_up.quantize", Quantize{l.rows, 2 * l.inner}, s.here},
          {"swiglu", SwiGlu{l.rows, l.inner, false, true}, s.here},
          {"down", projection(s, l.hidden, l.inner), s.here},
          {"unpermute", Unpermute{s.used, s.choices, l.hidden}, s.here},
          exchange(l, "combine", true, Dtype::bf16)};
}

std::vector<MoeOp> moe_backward(const MoeLayer& l) {
  const Sizes s(l);
  const double row = 2.0 * double(l.hidden);
  return {exchange(l, "dispatch.gradient", false, Dtype::bf16),
          {"clear", Moved{double(l.rows) * row}, s.here},
          // reads the gradient once and y, writes d_y
          {"unpermute.backward", Moved{double(s.used + 2 * s.choices) * row}, s.here},
          {"gradient.quantize", Quantize{l.rows, l.hidden, true}, s.here},
          {"down.dgrad", projection(s, l.inner, l.hidden), s.here},
          {"swiglu.backward", SwiGlu{l.rows, l.inner, true, true}, s.here},
          {"gate_up.dgrad", projection(s, l.hidden, 2 * l.inner), s.here},
          {"input.transpose", Quantize{l.rows, l.hidden, false, kFp8}, s.here},
          {"down.wgrad", WgradGrouped{s.each, l.hidden, l.inner, s.m, kFp8}, s.here},
          {"gate_up.wgrad", WgradGrouped{s.each, 2 * l.inner, l.hidden, s.m, kFp8}, s.here},
          {"unpermute.gradient", Unpermute{s.used, s.choices, l.hidden}, s.here},
          exchange(l, "combine.gradient", true, Dtype::bf16),
          {"gate.backward", Gate{s.here * l.tokens, l.experts, l.groups, l.top_k, true}, 1}};
}

Cost moe_cost(const Machine& m, const CostModel& costs, const MoeOp& op) {
  if (const auto* shape = std::get_if<Shape>(&op.op)) return costs.cost(*shape, m.sms);
  Cost c;
  if (const auto* e = std::get_if<OwnExchange>(&op.op)) {
    c.work = own_exchange(m, m.own_exchange, *e).total;
    c.provenance = Provenance::interpolated, c.source = m.own_exchange.source, c.own = true;
    return c;
  }
  c.work = Time::seconds(std::get<Moved>(op.op).bytes / memory_rate(m, m.sms).per_second());
  c.source = "bytes at the rate of a copy";
  return c;
}

}  // namespace railcast
