#include "kernels/cross_entropy_reference.hpp"
#include "kernels/layer_bench.hpp"

namespace railcast::kernels::layer {
namespace {

Outcome check(Random& random) {
  const bool large = between(random, 0, 9) == 0;
  CrossEntropyArgs a{.tokens = large ? between(random, 1, 2) : between(random, 1, 40)};
  a.vocab = large ? std::int64_t{129280} - 8 * between(random, 0, 3) : 8 * between(random, 1, 2000);
  if (!large && between(random, 0, 9) == 0)
    a.tokens = 3, a.vocab = 8 * between(random, 4097, 9000);  // a cluster of 2 or 4
  a.gradient_scale = 1.0F / static_cast<float>(a.tokens);
  std::vector<Bf16> logits = normal_bf16(random, static_cast<std::size_t>(a.tokens * a.vocab), 3.0F);
  std::vector<int> targets;
  for (std::int64_t t = 0; t < a.tokens; ++t)
    targets.push_back(between(random, 0, 7) == 0 ? -100 : static_cast<int>(between(random, 0, a.vocab - 1)));
  Array<Bf16> d_logits(logits);
  Array<int> d_targets(targets);
  Array<float> loss(targets.size());
  a.logits = d_logits, a.targets = d_targets, a.loss = loss;
  cross_entropy(a, {});
  a.logits = logits.data(), a.targets = targets.data();
  const reference::CrossEntropy expected = reference::cross_entropy(a);
  Outcome out;
  compare(out, "loss", doubles(loss.host()), expected.loss, 1e-5, 1e-5);
  compare(out, "gradient", doubles(d_logits.host()), expected.gradient, 0x1p-8, 1e-7 * a.gradient_scale);
  return out;
}

/// The last two tokens; their logits are overwritten.
void check_part(Outcome& out, const CrossEntropyArgs& a, const std::function<void()>& run) {
  const std::int64_t tokens = 2, first = a.tokens - tokens, n = tokens * a.vocab;
  std::vector<Bf16> logits = read(a.logits + first * a.vocab, n);
  const std::vector<int> targets = read(a.targets + first, tokens);
  run();
  const reference::CrossEntropy expected = reference::cross_entropy(
      {.tokens = tokens, .vocab = a.vocab, .logits = logits.data(), .targets = targets.data()});
  compare(out, "loss", doubles(read(a.loss + first, tokens)), expected.loss, 1e-5, 1e-5);
  compare(out, "gradient", doubles(read(a.logits + first * a.vocab, n)), expected.gradient, 0x1p-8, 1e-7);
}

void row(std::int64_t tokens, std::int64_t vocab, Layer& layer) {
  const auto n = static_cast<std::size_t>(tokens * vocab);
  Array<Bf16> logits(n);
  fill_bf16(logits, n, 3.0F, 1, nullptr);
  std::vector<int> targets;
  Random random(1);
  for (std::int64_t t = 0; t < tokens; ++t) targets.push_back(static_cast<int>(between(random, 0, vocab - 1)));
  Array<int> d_targets(targets);
  Array<float> loss(targets.size());
  const CrossEntropyArgs a{.tokens = tokens, .vocab = vocab, .logits = logits, .targets = d_targets, .loss = loss};
  layer.time({.shape = fields({"tokens", "vocab"}, {tokens, vocab}),
              .bytes = static_cast<double>(n) * 4,
              .run = [=](int, cudaStream_t stream) { cross_entropy(a, {.stream = stream}); },
              .must_of_copy = vocab == 129280 ? 0.85 : 0,
              .part = [=](Outcome& o, const auto& run) { check_part(o, a, run); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void cross_entropy_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "cross_entropy");
  layer.check("loss and gradient", layer::check);
  if (!layer.timing()) return;
  row(4096, 129280, layer), row(4096, 32768, layer);
}

}  // namespace railcast::kernels
