#include "model/shapes.hpp"

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <sstream>
#include <utility>

namespace railcast {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

double product(std::initializer_list<std::int64_t> factors) {
  double p = 1;
  for (const auto f : factors) p *= static_cast<double>(f);
  return p;
}

/// Bytes of an element with its scales: one FP32 scale per 1x128 tile (V3 report, 3.3.2).
double stored(Dtype d) { return bytes_per_element(d) + (d == Dtype::fp8_block ? 4.0 / 128 : 0); }

/// GEMM outputs: BF16, or FP32 where the inputs are.
double output(Dtype d) { return d == Dtype::fp32 ? 4 : 2; }

/// A [m,k] and B [n,k] read, D [m,n] written; `groups` of them.
double gemm_bytes(double groups, std::int64_t m, std::int64_t n, std::int64_t k, Dtype d) {
  return groups * ((product({m, k}) + product({n, k})) * stored(d) + product({m, n}) * output(d));
}

/// dY [k,m] and X [k,n] read, dW [m,n] FP32 read and written.
double wgrad_bytes(double groups, std::int64_t m, std::int64_t n, std::int64_t k, Dtype d) {
  return groups * ((product({m, k}) + product({n, k})) * stored(d) + product({m, n}) * 8);
}

/// Multiply-adds per (query, key) pair as FLOPs: forward QK^T and PV; backward repeats QK^T, then dV, dP, dQ, dK.
double attention_flops(const Attention& a) {
  const double pairs = product({a.batch, a.q_len, a.kv_len, a.heads}) * (a.causal ? 0.5 : 1);
  const double qk = 2 * static_cast<double>(a.d_qk), v = 2 * static_cast<double>(a.d_v);
  return pairs * (a.backward ? 3 * qk + 2 * v : qk + v);
}

/// BF16 Q, K, V and O, FP32 log-sum-exp; the backward reads these and dO and writes dQ, dK, dV.
double attention_bytes(const Attention& a) {
  const double q = product({a.batch, a.q_len, a.heads, a.d_qk}), o = product({a.batch, a.q_len, a.heads, a.d_v});
  const double kv = product({a.batch, a.kv_len, a.kv_heads, a.d_qk + a.d_v});
  const double lse = 4 * product({a.batch, a.q_len, a.heads});
  return a.backward ? 2 * (2 * q + 2 * o + 2 * kv) + lse : 2 * (q + o + kv) + lse;
}

double quantize_bytes(const Quantize& q) {
  return product({q.rows, q.cols}) * (stored(q.from) + stored(Dtype::fp8_block) * (q.transpose ? 2 : 1));
}

/// Forward: gate and up in, one out. Backward: gate, up and dOut in, dGate and dUp out.
double swiglu_bytes(const SwiGlu& s) {
  const double out = s.quantize ? stored(Dtype::fp8_block) : 2;
  return product({s.rows, s.cols}) * (s.backward ? 6 + 2 * out : 4 + out);
}

/// Tokens read once, and as many rows written as arrive when every rank sends alike.
double exchange_bytes(std::int64_t tokens, std::int64_t hidden, std::int64_t experts, std::int64_t top_k,
                      std::int64_t ranks, Dtype d) {
  return product({tokens, hidden}) * stored(d) * (1 + expected_ranks(experts, top_k, ranks));
}

double gathered_bytes(std::int64_t bytes, std::int64_t ranks) {
  return static_cast<double>(bytes) * (1 + 1 / static_cast<double>(ranks));
}

class Line {
 public:
  Line(const Shape& s) { out_ << stem(s); }
  template <class... N>
  Line& x(std::int64_t first, N... rest) {
    out_ << ' ' << first;
    ((out_ << 'x' << rest), ...);
    return *this;
  }
  Line& dtype(Dtype d) { return word(name(d)); }
  Line& word(const char* w, bool present = true) {
    if (present) out_ << ' ' << w;
    return *this;
  }
  Line& field(const char* key, std::int64_t v) {
    out_ << ' ' << key << ' ' << v;
    return *this;
  }
  std::string text() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

template <class Exchange>
std::string describe_exchange(Line line, const Exchange& e) {
  line.x(e.tokens, e.hidden).field("experts", e.experts).field("top_k", e.top_k).field("ranks", e.ranks);
  return line.field("groups", e.groups).field("top_groups", e.top_groups).dtype(e.dtype).text();
}

template <class Collective>
std::string describe_collective(Line line, const Collective& c) {
  return line.field("bytes", c.bytes).field("ranks", c.ranks).field("per_node", c.ranks_per_node).text();
}

}  // namespace

const char* name(Dtype d) {
  switch (d) {
    case Dtype::bf16:
      return "bf16";
    case Dtype::fp8_block:
      return "fp8_block";
    case Dtype::fp8_tensor:
      return "fp8_tensor";
    case Dtype::fp32:
      return "fp32";
  }
  return "?";
}

double bytes_per_element(Dtype d) {
  switch (d) {
    case Dtype::bf16:
      return 2;
    case Dtype::fp32:
      return 4;
    case Dtype::fp8_block:
    case Dtype::fp8_tensor:
      return 1;
  }
  return 0;
}

double expected_ranks(std::int64_t experts, std::int64_t top_k, std::int64_t ranks) {
  const std::int64_t elsewhere = experts - experts / ranks;
  double none = 1;  // C(elsewhere, top_k) / C(experts, top_k)
  for (std::int64_t i = 0; i < top_k; ++i)
    none *= std::max(0.0, static_cast<double>(elsewhere - i)) / static_cast<double>(experts - i);
  return static_cast<double>(ranks) * (1 - none);
}

const char* stem(const Shape& s) {
  static constexpr const char* stems[] = {"gemm",
                                          "grouped_gemm_contiguous",
                                          "grouped_gemm_masked",
                                          "wgrad",
                                          "wgrad_grouped",
                                          "attention",
                                          "quantize",
                                          "swiglu",
                                          "rms_norm",
                                          "rope",
                                          "gate",
                                          "permute",
                                          "unpermute",
                                          "add",
                                          "embedding",
                                          "cross_entropy",
                                          "adamw",
                                          "dispatch",
                                          "combine",
                                          "all_reduce",
                                          "all_gather",
                                          "reduce_scatter",
                                          "all_to_all",
                                          "send_recv"};
  static_assert(std::size(stems) == std::variant_size_v<Shape>);
  return stems[s.index()];
}

std::string describe(const Shape& s) {
  Line l(s);
  const auto grouped = [&](const auto& g) { return l.x(g.groups).word("x").x(g.m, g.n, g.k).dtype(g.dtype).text(); };
  return std::visit(
      Overload{[&](const Gemm& g) { return l.x(g.m, g.n, g.k).dtype(g.dtype).text(); },
               [&](const Wgrad& g) { return l.x(g.m, g.n, g.k).dtype(g.dtype).text(); },
               [&](const GroupedGemm& g) { return grouped(g); },
               [&](const GroupedGemmMasked& g) { return grouped(g); },
               [&](const WgradGrouped& g) { return grouped(g); },
               [&](const Attention& a) {
                 l.x(a.batch, a.q_len, a.kv_len).field("heads", a.heads).field("kv_heads", a.kv_heads);
                 l.field("d_qk", a.d_qk).field("d_v", a.d_v).word(a.causal ? "causal" : "full");
                 return l.word("backward", a.backward).text();
               },
               [&](const Quantize& q) {
                 l.x(q.rows, q.cols).word("transpose", q.transpose);
                 return l.word("from fp8_block", q.from == Dtype::fp8_block).text();
               },
               [&](const SwiGlu& w) {
                 return l.x(w.rows, w.cols).word("backward", w.backward).word("quantize", w.quantize).text();
               },
               [&](const RmsNorm& n) { return l.x(n.rows, n.cols).word("backward", n.backward).text(); },
               [&](const Gate& g) {
                 l.x(g.tokens, g.experts).field("groups", g.groups).field("top_k", g.top_k);
                 return l.word("backward", g.backward).text();
               },
               [&](const Permute& p) { return l.x(p.tokens, p.cols).field("rows", p.rows).dtype(p.dtype).text(); },
               [&](const Unpermute& p) { return l.x(p.tokens, p.cols).field("rows", p.rows).text(); },
               [&](const Embedding& e) { return l.x(e.tokens, e.hidden).word("backward", e.backward).text(); },
               [&](const Rope& r) { return l.x(r.rows, r.cols).text(); },
               [&](const Add& a) { return l.x(a.rows, a.cols).text(); },
               [&](const CrossEntropy& c) { return l.x(c.tokens, c.vocab).text(); },
               [&](const AdamW& a) { return l.field("parameters", a.parameters).text(); },
               [&](const Dispatch& d) { return describe_exchange(std::move(l), d) + (d.notify ? " notify" : ""); },
               [&](const Combine& c) { return describe_exchange(std::move(l), c); },
               [&](const SendRecv& r) {
                 return l.field("bytes", r.bytes).word(r.same_node ? "same_node" : "between_nodes").text();
               },
               [&](const auto& c) { return describe_collective(std::move(l), c); }},
      s);
}

double flops(const Shape& s) {
  const auto grouped = [](const auto& g) { return 2 * product({g.groups, g.m, g.n, g.k}); };
  return std::visit(
      Overload{[](const Gemm& g) {
                 return 2 * product({g.m, g.n, g.k});
               },
               [](const Wgrad& g) {
                 return 2 * product({g.m, g.n, g.k});
               },
               [&](const GroupedGemm& g) { return grouped(g); }, [&](const GroupedGemmMasked& g) { return grouped(g); },
               [&](const WgradGrouped& g) { return grouped(g); }, [](const Attention& a) { return attention_flops(a); },
               [](const auto&) { return 0.0; }},
      s);
}

double hbm_bytes(const Shape& s) {
  const auto grouped = [](const auto& g) { return gemm_bytes(static_cast<double>(g.groups), g.m, g.n, g.k, g.dtype); };
  const auto exchange = [](const auto& e) {
    return exchange_bytes(e.tokens, e.hidden, e.experts, e.top_k, e.ranks, e.dtype);
  };
  return std::visit(
      Overload{
          [](const Gemm& g) { return gemm_bytes(1, g.m, g.n, g.k, g.dtype); },
          [&](const GroupedGemm& g) { return grouped(g); }, [&](const GroupedGemmMasked& g) { return grouped(g); },
          [](const Wgrad& g) { return wgrad_bytes(1, g.m, g.n, g.k, g.dtype); },
          [](const WgradGrouped& g) { return wgrad_bytes(static_cast<double>(g.groups), g.m, g.n, g.k, g.dtype); },
          [](const Attention& a) { return attention_bytes(a); }, [](const Quantize& q) { return quantize_bytes(q); },
          [](const SwiGlu& w) { return swiglu_bytes(w); },
          // x in, y out; backward: x and dy in, dx out
          [](const RmsNorm& n) {
            return product({n.rows, n.cols}) * (n.backward ? 6 : 4);
          },
          [](const Rope& r) {
            return product({r.rows, r.cols}) * 4;
          },
          // FP32 scores, and an index and a weight per selection
          [](const Gate& g) {
            return product({g.tokens, g.experts}) * 4 + product({g.tokens, g.top_k}) * 8;
          },
          [](const Permute& p) { return static_cast<double>(p.tokens + p.rows) * product({p.cols}) * stored(p.dtype); },
          [](const Unpermute& p) { return static_cast<double>(p.tokens + p.rows) * product({p.cols}) * 2; },
          [](const Add& a) {
            return product({a.rows, a.cols}) * 6;
          },
          // row in, row out; backward: BF16 gradient in, FP32 row read and written
          [](const Embedding& e) {
            return product({e.tokens, e.hidden}) * (e.backward ? 10 : 4);
          },
          [](const CrossEntropy& c) {
            return product({c.tokens, c.vocab}) * 4;
          },
          [](const AdamW& a) { return product({a.parameters}) * 22; }, [&](const Dispatch& d) { return exchange(d); },
          [&](const Combine& c) { return exchange(c); },
          [](const AllReduce& c) { return 2 * static_cast<double>(c.bytes); },
          [](const AllGather& c) { return gathered_bytes(c.bytes, c.ranks); },
          [](const ReduceScatter& c) { return gathered_bytes(c.bytes, c.ranks); },
          [](const AllToAll& c) { return 2 * static_cast<double>(c.bytes); },
          [](const SendRecv& c) { return 2 * static_cast<double>(c.bytes); }},
      s);
}

}  // namespace railcast
