// Oracle: V3's bytes counted by hand from the report's recipe (arXiv 2412.19437, 3.2.3 and 3.3.3).
#include "model/layer.hpp"
#include "tests/catch.hpp"
#include "tests/presets.hpp"

using namespace railcast;
using tests::preset;
using tests::v3_plan;

namespace {
double kept(const LayerActivation& a) { return a.kept_for_b + a.kept_for_w; }
}  // namespace

TEST_CASE("V3 keeps 642 MB of an MoE layer per micro-batch", "[model][activation]") {
  constexpr double kTokens = 4096, kRows = 32768;      // 4096 x top-8 x 64 ranks / 256 experts x 4 local experts
  constexpr double kFp8 = 1 + 4.0 / 128;               // E4M3 and an FP32 scale per 1x128
  const double for_b = kTokens * 7168 * 2              // the layer's input, BF16: its norm is recomputed
                       + kTokens * 2112 * 2            // latents 1536 + 512 + 64, BF16: q, k, v are recomputed
                       + kTokens * 128 * 4             // log-sum-exp of 128 heads
                       + kTokens * 7168 * 2            // the second norm's input
                       + kTokens * (256 * 4 + 8 * 8)   // gate: scores, and 8 indices and weights
                       + kTokens * 2 * 2048 * kFp8     // shared expert: SwiGLU's input; its output is recomputed
                       + kRows * 2 * 2048 * kFp8;      // routed experts: the same
  const double for_w = kTokens * 16384 * (kFp8 + 0.5)  // o_proj's input in E5M6, 12 bits, and scales
                       + kRows * 7168 * kFp8;          // the experts' input as it was dispatched
  const LayerActivation a = layer_activation(preset("deepseek-v3"), v3_plan(), 30, 4096);
  CHECK(a.kept_for_b == Approx(for_b).epsilon(1e-12));
  CHECK(a.kept_for_w == Approx(for_w).epsilon(1e-12));
  CHECK(kept(a) == Approx(642e6).epsilon(0.001));
}

TEST_CASE("V3 keeps less of a dense layer than of an MoE layer", "[model][activation]") {
  const double for_b = 4096.0 * (7168 * 2 + 2112 * 2 + 128 * 4 + 7168 * 2) + 4096 * 2 * 18432 * (1 + 4.0 / 128);
  const LayerActivation a = layer_activation(preset("deepseek-v3"), v3_plan(), 0, 4096);
  CHECK(a.kept_for_b == Approx(for_b).epsilon(1e-12));
  CHECK(a.kept_for_w == Approx(4096.0 * 16384 * (1.5 + 4.0 / 128)).epsilon(1e-12));
}

TEST_CASE("Llama without recompute keeps the inputs of its ops in BF16", "[model][activation]") {
  // By hand, in elements per token: x, norm's out, q, k, v, o, second x, its norm's out, gate and up, SwiGLU's out;
  // and attention's FP32 log-sum-exp.
  const Transformer t = preset("llama-3.1-405b");
  const double per_token = 2.0 * (16384 + 16384 + (16384 + 2 * 1024) + 16384 + 16384 + 16384 + 2 * 53248 + 53248);
  CHECK(kept(layer_activation(t, Plan{}, 5, 8192)) == Approx(8192 * (per_token + 4 * 128)).epsilon(1e-12));
}

TEST_CASE("everything recomputed leaves the layer's input alone", "[model][activation]") {
  Plan p = v3_plan();
  p.recompute = {"layer"};
  const LayerActivation a = layer_activation(preset("deepseek-v3"), p, 30, 4096);
  CHECK(a.kept_for_b == 2.0 * 4096 * 7168);
  CHECK(a.kept_for_w == 0);
  CHECK(a.made_for_w > 0);
  CHECK(boundary_bytes(preset("deepseek-v3"), p, 4096) == a.kept_for_b);
}

TEST_CASE("each thing recomputed saves memory", "[model][activation]") {
  const Transformer t = preset("deepseek-v3");
  Plan p = v3_plan();
  p.precision = GENERATE(Dtype::bf16, Dtype::fp8_block);
  p.recompute.clear();
  double before = kept(layer_activation(t, p, 30, 4096));
  for (const char* what : {"rmsnorm", "mla_up", "swiglu", "attention", "layer"}) {
    p.recompute.push_back(what);
    const double after = kept(layer_activation(t, p, 30, 4096));
    INFO(what);
    CHECK(after < before);
    before = after;
  }
}

TEST_CASE("what W needs is the same whether it was kept or made again", "[model][activation]") {
  const Transformer t = preset("deepseek-v3");
  Plan with = v3_plan(), without = v3_plan();
  without.recompute.clear();
  const auto a = layer_activation(t, with, 30, 4096), b = layer_activation(t, without, 30, 4096);
  CHECK(a.kept_for_w + a.made_for_w == Approx(b.kept_for_w + b.made_for_w).epsilon(1e-12));
}

TEST_CASE("context and tensor parallelism divide what a rank keeps", "[model][activation]") {
  const Transformer t = preset("llama-3.1-405b");
  Plan p;
  const double whole = kept(layer_activation(t, p, 5, 8192));
  p.cp = 2;
  CHECK(kept(layer_activation(t, p, 5, 8192)) == whole / 2);
  p.context_parallel = ContextParallel::all_to_all;
  CHECK(kept(layer_activation(t, p, 5, 8192)) == whole / 2);
  p.cp = 1;
  p.tp = 8;
  CHECK(kept(layer_activation(t, p, 5, 8192)) == whole / 8);
}

TEST_CASE("logits are held in BF16, divided over the vocabulary", "[model][activation]") {
  Plan p;
  CHECK(logits_bytes(preset("deepseek-v3"), p, 4096) == 2.0 * 4096 * 129280);
  p.tp = 8;
  CHECK(logits_bytes(preset("deepseek-v3"), p, 4096) == 2.0 * 4096 * 16160);
}
