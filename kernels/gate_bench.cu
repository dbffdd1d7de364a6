#include "kernels/gate_reference.hpp"
#include "kernels/layer_bench.hpp"

namespace railcast::kernels::layer {
namespace {

Gating v3() { return {.experts = 256, .top_k = 8, .groups = 8, .top_groups = 4, .scale = 2.5F}; }

Gating some_gating(Random& random) {
  const Gating families[] = {v3(),
                             v3(),
                             v3(),
                             {.experts = 160,
                              .top_k = 6,
                              .groups = 8,
                              .top_groups = 3,
                              .group_sum = 1,
                              .scoring = Scoring::softmax,
                              .normalise = false,
                              .scale = 16},
                             {.experts = 384, .top_k = 8, .scale = 2.827F},
                             {.experts = 128, .top_k = 8, .scoring = Scoring::softmax},
                             {.experts = 8, .top_k = 2, .scoring = Scoring::softmax},
                             {.experts = 64, .top_k = 6, .scoring = Scoring::softmax, .normalise = false},
                             {.experts = 512, .top_k = 10, .groups = 16, .top_groups = 2}};
  return families[between(random, 0, 8)];
}

/// Scores nearer than this may be told apart differently: a few units in the last place of FP32 at 1.
constexpr double kSlack = 1e-6;

Outcome check_forward(Random& random) {
  const Gating g = some_gating(random);
  GateArgs a{.gating = g, .tokens = between(random, 1, 300)};
  a.ranks = g.experts >= 64 ? 1 << between(random, 0, 5) : 1;
  const auto tokens = static_cast<std::size_t>(a.tokens), chosen = tokens * static_cast<std::size_t>(g.top_k);
  const std::vector<float> logits = normal(random, tokens * static_cast<std::size_t>(g.experts), 1.5F);
  const std::vector<float> bias = normal(random, static_cast<std::size_t>(g.experts), 0.1F);
  Array<float> d_logits(logits), d_bias(bias), weights(chosen);
  Array<int> experts(chosen), expert_counts(bias.size()), rank_counts(static_cast<std::size_t>(a.ranks));
  Array<unsigned long long> on_rank(tokens);
  expert_counts.zero(), rank_counts.zero();
  const bool biased = between(random, 0, 1) == 1;
  a.logits = d_logits, a.bias = biased ? d_bias.get() : nullptr, a.experts = experts, a.weights = weights;
  a.expert_counts = expert_counts, a.rank_counts = rank_counts, a.on_rank = on_rank;
  gate(a, {});
  Outcome out;
  a.logits = logits.data(), a.bias = biased ? bias.data() : nullptr;
  const reference::Gated expected = reference::gate(a);
  const std::vector<int> got = experts.host();
  const std::vector<float> got_weights = weights.host();
  const std::vector<unsigned long long> got_ranks = on_rank.host();
  std::vector<int> per_expert(bias.size()), per_rank(static_cast<std::size_t>(a.ranks));
  int ties = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const int* mine = got.data() + t * static_cast<std::size_t>(g.top_k);
    if (!reference::same_within_ties(expected, g, static_cast<std::int64_t>(t), mine, kSlack)) {
      out.fail("token " + std::to_string(t) + " chose other experts of " + std::to_string(g.experts));
      return out;
    }
    bool same = true;
    unsigned long long ranks = 0;
    for (int k = 0; k < g.top_k; ++k) {
      const auto at = t * static_cast<std::size_t>(g.top_k) + static_cast<std::size_t>(k);
      same = same && mine[k] == expected.experts[at];
      ++per_expert[static_cast<std::size_t>(mine[k])];
      ranks |= 1ULL << (mine[k] / (g.experts / a.ranks));
    }
    ties += !same;
    for (int r = 0; r < a.ranks; ++r) per_rank[static_cast<std::size_t>(r)] += static_cast<int>(ranks >> r & 1);
    if (ranks != got_ranks[t]) out.fail("on_rank of token " + std::to_string(t));
    for (int k = 0; k < g.top_k && same; ++k) {
      const auto at = t * static_cast<std::size_t>(g.top_k) + static_cast<std::size_t>(k);
      const double off = std::fabs(got_weights[at] / expected.weights[at] - 1);
      out.error = std::max(out.error, off);
      if (!(off < 1e-5)) out.fail("weight of token " + std::to_string(t));
    }
  }
  compare_bits(out, "expert_counts", expert_counts.host(), per_expert);
  compare_bits(out, "rank_counts", rank_counts.host(), per_rank);
  if (ties > 2) out.fail(std::to_string(ties) + " ties within rounding of " + std::to_string(tokens) + " tokens");
  return out;
}

Outcome check_backward(Random& random) {
  const Gating g = some_gating(random);
  GateBackwardArgs a{.gating = g, .tokens = between(random, 1, 200)};
  const auto tokens = static_cast<std::size_t>(a.tokens), n = tokens * static_cast<std::size_t>(g.experts);
  const std::vector<float> logits = normal(random, n, 1.5F),
                           d_weights = normal(random, tokens * static_cast<std::size_t>(g.top_k));
  const std::vector<int> experts = reference::gate({.gating = g, .tokens = a.tokens, .logits = logits.data()}).experts;
  Array<float> d_logits_in(logits), d_d_weights(d_weights), d_logits(n);
  Array<int> d_experts(experts);
  a.logits = d_logits_in, a.experts = d_experts, a.d_weights = d_d_weights, a.d_logits = d_logits;
  gate_backward(a, {});
  a.logits = logits.data(), a.experts = experts.data(), a.d_weights = d_weights.data();
  Outcome out;
  compare(out, "d_logits", doubles(d_logits.host()), reference::gate_backward(a), 1e-4, 1e-5 * g.scale);
  return out;
}

Outcome check_bias(Random& random) {
  GateBiasArgs a{.experts = between(random, 1, 512)};
  std::vector<int> counts;
  for (std::int64_t e = 0; e < a.experts; ++e) counts.push_back(static_cast<int>(between(random, 0, 5)));
  const std::vector<float> bias = normal(random, counts.size(), 0.1F);
  Array<int> d_counts(counts);
  Array<float> d_bias(bias);
  a.counts = d_counts, a.bias = d_bias;
  gate_bias_update(a, {});
  std::vector<float> before = bias;
  a.counts = counts.data(), a.bias = before.data();
  Outcome out;
  compare(out, "bias", doubles(d_bias.host()), doubles(reference::gate_bias_update(a)), 1e-6, 1e-7);
  return out;
}

constexpr std::int64_t kPart = 64;  ///< tokens, the last ones, that timed problems are checked in

void check_part(Outcome& out, const GateArgs& a) {
  const std::int64_t first = a.tokens - kPart, top_k = a.gating.top_k;
  const std::vector<float> logits = read(a.logits + first * a.gating.experts, kPart * a.gating.experts),
                           bias = read(a.bias, a.gating.experts),
                           weights = read(a.weights + first * top_k, kPart * top_k);
  const std::vector<int> experts = read(a.experts + first * top_k, kPart * top_k);
  const reference::Gated expected =
      reference::gate({.gating = a.gating, .tokens = kPart, .logits = logits.data(), .bias = bias.data()});
  for (std::int64_t t = 0; t < kPart; ++t) {
    const auto at = static_cast<std::size_t>(t * top_k);
    if (!reference::same_within_ties(expected, a.gating, t, &experts[at], kSlack))
      out.fail("token " + std::to_string(first + t) + " chose other experts");
    if (std::equal(&experts[at], &experts[at] + top_k, &expected.experts[at]))
      compare(out, "weights", {&weights[at], &weights[at] + top_k},
              {&expected.weights[at], &expected.weights[at] + top_k}, 1e-5, 0);
  }
}
void check_part(Outcome& out, const GateBackwardArgs& a) {
  const std::int64_t first = a.tokens - kPart, top_k = a.gating.top_k, n = kPart * a.gating.experts;
  const std::vector<float> logits = read(a.logits + first * a.gating.experts, n),
                           d_weights = read(a.d_weights + first * top_k, kPart * top_k);
  const std::vector<int> experts = read(a.experts + first * top_k, kPart * top_k);
  compare(out, "d_logits", doubles(read(a.d_logits + first * a.gating.experts, n)),
          reference::gate_backward({.gating = a.gating,
                                    .tokens = kPart,
                                    .logits = logits.data(),
                                    .experts = experts.data(),
                                    .d_weights = d_weights.data()}),
          1e-4, 1e-5 * a.gating.scale);
}

void gate_row(std::int64_t tokens, bool layout, Layer& layer) {
  const Gating g = v3();
  const int sets = static_cast<int>((std::int64_t{220} << 20) / (tokens * g.experts * 4)) + 1;
  const auto n = static_cast<std::size_t>(tokens * g.experts);
  Array<float> logits(n * static_cast<std::size_t>(sets)), bias(256), weights(static_cast<std::size_t>(tokens) * 8);
  fill_uniform(logits, logits.size(), -2.0F * 1.5F, 2.0F * 1.5F, 1, nullptr),
      fill_uniform(bias, 256, -2.0F * 0.1F, 2.0F * 0.1F, 2, nullptr);
  Array<int> experts(weights.size()), counts(256), rank_counts(8);
  Array<unsigned long long> on_rank(static_cast<std::size_t>(tokens));
  counts.zero(), rank_counts.zero();
  GateArgs a{.gating = g,
             .tokens = tokens,
             .logits = logits,
             .bias = bias,
             .experts = experts,
             .weights = weights,
             .ranks = 8};
  if (layout) a.expert_counts = counts, a.rank_counts = rank_counts, a.on_rank = on_rank;
  const float* first = logits;
  layer.time({.shape = fields({"tokens", "experts", "groups", "top_k", "backward"}, {tokens, 256, 8, 8, 0}),
              .dtype = "fp32",
              .out_dtype = "fp32",
              .impl = layout ? "railcast" : "railcast_no_layout",
              .bytes = static_cast<double>(tokens) * (256 * 4 + 8 * 8),
              .run =
                  [=](int set, cudaStream_t stream) {
                    GateArgs b = a;
                    b.logits = first + static_cast<std::size_t>(set) * n;
                    gate(b, {.stream = stream});
                  },
              .sets = sets,
              .must_us = tokens == 8192 ? 20.0 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

void backward_row(std::int64_t tokens, Layer& layer) {
  const Gating g = v3();
  const auto n = static_cast<std::size_t>(tokens * g.experts);
  const double bytes = static_cast<double>(tokens) * (2 * 256 * 4 + 8 * 8);
  const int sets = rotating_sets(bytes);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<float> logits(all), weights(static_cast<std::size_t>(tokens) * 8), d_weights(weights.size()), d_logits(all);
  fill_uniform(logits, all, -2.0F * 1.5F, 2.0F * 1.5F, 1, nullptr),
      fill_uniform(d_weights, d_weights.size(), -2.0F * 1, 2.0F * 1, 2, nullptr);
  Array<int> experts(weights.size());
  gate({.gating = g, .tokens = tokens, .logits = logits, .experts = experts, .weights = weights}, {});
  const GateBackwardArgs a{.gating = g,
                           .tokens = tokens,
                           .logits = logits,
                           .experts = experts,
                           .d_weights = d_weights,
                           .d_logits = d_logits};
  layer.time({.shape = fields({"tokens", "experts", "groups", "top_k", "backward"}, {tokens, 256, 8, 8, 1}),
              .dtype = "fp32",
              .out_dtype = "fp32",
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    GateBackwardArgs b = a;
                    take_turn(b.logits, set, n), take_turn(b.d_logits, set, n);
                    gate_backward(b, {.stream = stream});
                  },
              .sets = sets,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void gate_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "gate");
  layer.check("forward", check_forward), layer.check("backward", check_backward), layer.check("bias", check_bias);
  if (!layer.timing()) return;
  for (const std::int64_t tokens : {4096, 8192, 32768}) gate_row(tokens, true, layer);
  gate_row(8192, false, layer), backward_row(8192, layer), backward_row(4096, layer);
}

}  // namespace railcast::kernels
