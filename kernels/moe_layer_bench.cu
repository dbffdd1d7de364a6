// A whole MoE layer against FP64: all of a small one, sampled tokens of one of DeepSeek-V3's sizes, which is timed.
#include <cstdio>
#include <map>

#include "kernels/gate_reference.hpp"
#include "kernels/layer_bench.hpp"
#include "kernels/moe_layer.hpp"
#include "kernels/moe_layer_reference.hpp"

namespace railcast::kernels::layer {
namespace {

/// E4M3 keeps four bits: rounding takes up to 2^-4 of a value, 2.6 % in the quadratic mean. A dot product of two
/// rounded operands is off by sqrt(2) of that. Forward chains two of them through SwiGLU, whose product adds both
/// halves' errors; backward chains four. Bounds: three and four such dot products in quadrature, 3.7 % each, and a
/// third more.
constexpr double kForwardTolerance = 0.085, kBackwardTolerance = 0.10;

Gating v3_gating(std::int64_t experts, int top_k) {
  return {.experts = experts, .top_k = top_k, .groups = 8, .top_groups = 4, .scale = 2.5F};
}

/// Weights of one expert as they were before quantising, seeded by its number.
struct Bf16Expert {
  Array<Bf16> w1, w2;
  Bf16Expert(const MoeShape& s, std::int64_t expert)
      : w1(static_cast<std::size_t>(2 * s.inner * s.hidden)), w2(static_cast<std::size_t>(s.hidden * s.inner)) {
    const auto seed = static_cast<std::uint32_t>(1000 + expert);
    fill_bf16(w1, w1.size(), 0.02F, seed, nullptr), fill_bf16(w2, w2.size(), 0.02F, seed + 100000, nullptr);
    throw_unless(cudaDeviceSynchronize(), "filling weights");
  }
  reference::Expert host() const { return {doubles(w1.host()), doubles(w2.host())}; }
};

void fill(MoeLayer& layer) {
  fill_bf16(layer.x.get(), layer.x.size(), 1.0F, 1, nullptr);
  fill_bf16(layer.d_out.get(), layer.d_out.size(), 1.0F, 2, nullptr);
  fill_uniform(layer.logits.get(), layer.logits.size(), -3.0F, 3.0F, 3, nullptr);
  for (std::int64_t e = 0; e < layer.shape.gating.experts; ++e) {
    const Bf16Expert expert(layer.shape, e);
    layer.weights.set(layer.shape, e, expert.w1, expert.w2);
    throw_unless(cudaDeviceSynchronize(), "quantising weights");
  }
}

/// Squares of differences and of the reference, for each output.
struct Sums {
  double error = 0, norm = 0;
  void add(double got, double expected) { error += (got - expected) * (got - expected), norm += expected * expected; }
  double relative() const { return std::sqrt(error / norm); }
};

struct Errors {
  Sums out, d_x, d_weights, d_w1, d_w2;
};

/// What the GPU holds after a pass, on the host.
struct Host {
  std::vector<Bf16> x, d_out, out, d_x;
  std::vector<int> chosen;
  std::vector<float> weights, d_weights;
  explicit Host(const MoeLayer& l)
      : x(l.x.host()),
        d_out(l.d_out.host()),
        out(l.out.host()),
        d_x(l.d_x.host()),
        chosen(l.chosen.host()),
        weights(l.choice_weights.host()),
        d_weights(l.d_choice_weights.host()) {}
  static std::vector<double> row(const std::vector<Bf16>& all, std::int64_t token, std::int64_t cols) {
    return doubles(std::vector<Bf16>(all.begin() + token * cols, all.begin() + (token + 1) * cols));
  }
};

/// One token's outputs by FP64 against the GPU's, for the experts and weights that the GPU chose.
template <typename ExpertOf>
void compare_token(Errors& errors, const Host& host, const MoeShape& s, std::int64_t token, const ExpertOf& expert_of,
                   std::map<int, reference::Expert>* gradients) {
  const std::vector<double> x = Host::row(host.x, token, s.hidden), d_out = Host::row(host.d_out, token, s.hidden);
  std::vector<double> out(x.size()), d_x(x.size());
  for (int k = 0; k < s.gating.top_k; ++k) {
    const auto at = static_cast<std::size_t>(token * s.gating.top_k + k);
    const int e = host.chosen[at];
    const reference::ChoicePass pass =
        reference::moe_choice({s.hidden, s.inner}, expert_of(e), x, d_out, static_cast<double>(host.weights[at]),
                              gradients == nullptr ? nullptr : &(*gradients)[e]);
    for (std::size_t c = 0; c < out.size(); ++c) out[c] += pass.out[c], d_x[c] += pass.d_x[c];
    errors.d_weights.add(static_cast<double>(host.d_weights[at]), pass.d_weight);
  }
  const std::vector<double> got = Host::row(host.out, token, s.hidden), got_d_x = Host::row(host.d_x, token, s.hidden);
  for (std::size_t c = 0; c < out.size(); ++c) errors.out.add(got[c], out[c]), errors.d_x.add(got_d_x[c], d_x[c]);
}

void compare_gradients(Errors& errors, const MoeLayer& layer, const std::map<int, reference::Expert>& gradients) {
  const std::vector<float> d_w1 = layer.weights.d_w1.host(), d_w2 = layer.weights.d_w2.host();
  for (const auto& [e, expected] : gradients) {
    const std::size_t first1 = static_cast<std::size_t>(e) * expected.w1.size(),
                      first2 = static_cast<std::size_t>(e) * expected.w2.size();
    for (std::size_t i = 0; i < expected.w1.size(); ++i)
      errors.d_w1.add(static_cast<double>(d_w1[first1 + i]), expected.w1[i]);
    for (std::size_t i = 0; i < expected.w2.size(); ++i)
      errors.d_w2.add(static_cast<double>(d_w2[first2 + i]), expected.w2[i]);
  }
}

void judge(Outcome& outcome, const std::string& what, const Sums& sums, double tolerance) {
  if (sums.norm == 0) return;
  const double relative = sums.relative();
  std::printf("moe_layer %-10s relative error %.3e, allowed %.3e\n", what.c_str(), relative, tolerance);
  outcome.error = std::max(outcome.error, relative);
  if (!(relative <= tolerance)) outcome.fail(what + ": relative error " + std::to_string(relative));
}

void judge_all(Outcome& outcome, const Errors& errors) {
  judge(outcome, "out", errors.out, kForwardTolerance), judge(outcome, "d_x", errors.d_x, kBackwardTolerance);
  judge(outcome, "d_weights", errors.d_weights, kBackwardTolerance);
  judge(outcome, "d_w1", errors.d_w1, kBackwardTolerance), judge(outcome, "d_w2", errors.d_w2, kBackwardTolerance);
}

void run_once(MoeLayer& layer) {
  layer.forward(nullptr), layer.backward(nullptr);
  layer.check();
}

/// d_logits follow from d_weights by the gate's backward, checked apart: here only that it was called on them.
void check_logits(Outcome& outcome, const MoeLayer& layer, const Host& host) {
  const std::vector<float> logits = layer.logits.host();
  const std::vector<double> expected = reference::gate_backward({.gating = layer.shape.gating,
                                                                 .tokens = layer.shape.ranks * layer.shape.tokens,
                                                                 .logits = logits.data(),
                                                                 .experts = host.chosen.data(),
                                                                 .d_weights = host.d_weights.data()});
  double top = 0;
  for (const float d : host.d_weights) top = std::max(top, std::fabs(static_cast<double>(d)));
  compare(outcome, "d_logits", doubles(layer.d_logits.host()), expected, 1e-3, 1e-4 * top);
}

/// Every output of a small layer.
Outcome check_small(Random& random) {
  MoeShape s{.ranks = 1 << between(random, 1, 3),
             .tokens = between(random, 3, 12),
             .hidden = 256 * between(random, 1, 2),
             .inner = 128 * between(random, 1, 2)};
  s.gating = v3_gating(32, 4);
  s.rows = 128 * ((s.ranks * s.tokens * s.gating.top_k) / 128 + s.experts_each() + 1);
  MoeLayer layer(s);
  fill(layer);
  run_once(layer);
  const Host host(layer);
  std::vector<reference::Expert> experts;
  std::map<int, reference::Expert> gradients;
  for (int e = 0; e < 32; ++e) {
    experts.push_back(Bf16Expert(s, e).host());
    gradients[e] = {std::vector<double>(experts.back().w1.size()), std::vector<double>(experts.back().w2.size())};
  }
  Errors errors;
  for (std::int64_t t = 0; t < s.ranks * s.tokens; ++t)
    compare_token(
        errors, host, s, t, [&](int e) -> const reference::Expert& { return experts[static_cast<std::size_t>(e)]; },
        &gradients);
  compare_gradients(errors, layer, gradients);
  Outcome outcome;
  judge_all(outcome, errors), check_logits(outcome, layer, host);
  outcome.error = 0;  // printed; what is left is d_logits' own
  return outcome;
}

/// Those that the sampled tokens chose; bringing one to the host takes a second.
using Experts = std::map<int, reference::Expert>;

/// One pass of the layer, forward or both ways. Its check samples tokens of two ranks.
class LayerWork : public Workload {
 public:
  LayerWork(MoeLayer& layer, Experts& experts, bool backward) : layer_(layer), experts_(experts), backward_(backward) {}
  void run(int, cudaStream_t stream) override {
    layer_.forward(stream);
    if (backward_) layer_.backward(stream);
  }
  Difference check(cudaStream_t stream) override {
    run(0, stream);
    throw_unless(cudaStreamSynchronize(stream), "running the layer");
    layer_.check();
    const Host host(layer_);
    const MoeShape& s = layer_.shape;
    Errors errors;
    for (const std::int64_t token : {std::int64_t{17}, s.ranks * s.tokens - 1})
      compare_token(
          errors, host, s, token, [&](int e) -> const reference::Expert& { return expert(e); }, nullptr);
    Outcome outcome;
    if (!backward_) errors.d_x = errors.d_weights = {};
    judge_all(outcome, errors);
    if (!outcome.ok) throw std::runtime_error(outcome.complaint);
    return {outcome.error, outcome.error};
  }

 private:
  const reference::Expert& expert(int e) {
    if (experts_.count(e) == 0) experts_[e] = Bf16Expert(layer_.shape, e).host();
    return experts_[e];
  }

  MoeLayer& layer_;
  Experts& experts_;
  bool backward_;
};

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

/// Eight virtual ranks of 8 experts each: what a rank of DeepSeek-V3 holds at expert-parallel 32. The expert's sizes
/// and the tokens of a rank are the published ones; flops: three projections of two operations, and twice that
/// backward.
void layer_v3_suite(Bench& bench) {
  using namespace layer;
  Layer small(bench, "moe_layer");
  small.check("against FP64", check_small);
  if (!small.timing()) return;
  MoeShape s{.ranks = 8, .tokens = 4096, .hidden = 7168, .inner = 2048};
  s.gating = v3_gating(64, 8);
  s.rows = 36864 + s.experts_each() * 128;
  MoeLayer layer(s);
  fill(layer);
  Experts experts;
  for (const bool backward : {false, true}) {
    Case c;
    c.stem = "moe_layer";
    c.shape = fields({"ranks", "tokens", "hidden", "inner", "experts", "top_k", "backward"},
                     {s.ranks, s.tokens, s.hidden, s.inner, s.gating.experts, s.gating.top_k, backward});
    const double choices = static_cast<double>(s.ranks * s.tokens * s.gating.top_k);
    c.flops = choices * 6 * static_cast<double>(s.hidden * s.inner) * (backward ? 3 : 1);
    c.set_bytes = 1e9, c.tolerance = kBackwardTolerance;
    c.make = [&](int) { return std::make_unique<LayerWork>(layer, experts, backward); };
    bench.measure(c);
  }
  layer.check();
}

}  // namespace railcast::kernels
