// Oracle: the FLOPs per token that the parameters imply; then properties of the splits.
#include "model/layer.hpp"

#include <functional>

#include "tests/catch.hpp"
#include "tests/presets.hpp"

using namespace railcast;
using tests::preset;
using tests::v3_plan;

namespace {
double total(const Works& works, const std::function<double(const Work&)>& count) {
  double sum = 0;
  for (const Work& w : works) sum += count(w);
  return sum;
}

Works all(const LayerWork& w) {
  Works every;
  for (const Works* s : {&w.attn_f, &w.dispatch_f, &w.mlp_f, &w.combine_f, &w.combine_b, &w.mlp_b, &w.mlp_w,
                         &w.dispatch_b, &w.attn_b, &w.attn_w})
    every.insert(every.end(), s->begin(), s->end());
  return every;
}

Works all(const EdgeWork& w) {
  Works every = w.forward;
  every.insert(every.end(), w.backward.begin(), w.backward.end());
  every.insert(every.end(), w.weight.begin(), w.weight.end());
  return every;
}

/// FLOPs without what is done twice: recomputed ops, and QK^T that the attention's backward repeats.
double model_flops(const Work& w) {
  if (w.recomputed) return 0;
  if (const auto* a = std::get_if<Attention>(&w.shape); a && a->backward) {
    Attention forward = *a;
    forward.backward = false;
    return 2 * flops(forward);
  }
  return flops(w.shape);
}

template <class S>
const S* find(const Works& works, const std::string& what) {
  for (const Work& w : works)
    if (w.what == what) return std::get_if<S>(&w.shape);
  return nullptr;
}

bool holds(const Works& works, const std::string& what, bool recomputed) {
  for (const Work& w : works)
    if (w.what == what && w.recomputed == recomputed) return true;
  return false;
}
}  // namespace

TEST_CASE("the lowered layers and head add up to the FLOPs per token", "[model][layer]") {
  const auto name = GENERATE(as<std::string>{}, "deepseek-v3", "kimi-k2", "qwen3-235b", "mixtral-8x7b", "glm-4.5",
                             "llama-3.1-405b", "minimax-m2.5");
  const auto recompute = GENERATE(std::vector<std::string>{}, std::vector<std::string>{"rmsnorm", "mla_up", "swiglu"},
                                  std::vector<std::string>{"layer"});
  constexpr std::int64_t kSequence = 7680;  // whole rows per expert for all of these
  const Transformer t = preset(name);
  Plan p;
  p.precision = GENERATE(Dtype::bf16, Dtype::fp8_block);
  p.recompute = recompute;
  double sum = total(all(head_work(t, p, kSequence, 8)), model_flops);
  for (std::int64_t i = 0; i < t.num_hidden_layers; ++i)
    sum += total(all(layer_work(t, p, i, kSequence, 8)), model_flops);
  INFO(name);
  CHECK(sum / kSequence == Approx(flops_per_token(t, kSequence, true)).epsilon(1e-9));
}

TEST_CASE("V3's layer has the report's shapes", "[model][layer]") {
  const LayerWork w = layer_work(preset("deepseek-v3"), v3_plan(), 30, 4096, 8);
  CHECK(*find<Gemm>(w.attn_f, "q_a_proj+kv_a_proj_with_mqa") == Gemm{4096, 2112, 7168, Dtype::fp8_block});
  CHECK(*find<Gemm>(w.attn_f, "q_b_proj") == Gemm{4096, 24576, 1536, Dtype::fp8_block});
  CHECK(*find<Gemm>(w.attn_f, "kv_b_proj") == Gemm{4096, 32768, 512, Dtype::fp8_block});
  CHECK(*find<Gemm>(w.attn_f, "o_proj") == Gemm{4096, 7168, 16384, Dtype::fp8_block});
  CHECK(*find<Attention>(w.attn_f, "attention") == Attention{1, 4096, 4096, 128, 128, 192, 128, true, false});
  CHECK(*find<Gemm>(w.attn_f, "gate") == Gemm{4096, 256, 7168, Dtype::bf16});
  // 4096 tokens x top-8 x 64 ranks / 256 experts = 8192 rows for each of 4 experts
  CHECK(*find<GroupedGemm>(w.mlp_f, "experts.gate_up_proj") == GroupedGemm{4, 8192, 4096, 7168, Dtype::fp8_block});
  CHECK(*find<GroupedGemm>(w.mlp_f, "experts.down_proj") == GroupedGemm{4, 8192, 7168, 2048, Dtype::fp8_block});
  CHECK(*find<WgradGrouped>(w.mlp_w, "experts.gate_up_proj.wgrad") ==
        WgradGrouped{4, 4096, 7168, 8192, Dtype::fp8_block});
  CHECK(*find<Wgrad>(w.attn_w, "q_b_proj.wgrad") == Wgrad{24576, 1536, 4096, Dtype::fp8_block});
  CHECK(find<Dispatch>(w.dispatch_f, "dispatch")->dtype == Dtype::fp8_block);
  CHECK(find<Combine>(w.combine_f, "combine")->dtype == Dtype::bf16);
  CHECK(find<Dispatch>(w.combine_b, "combine.backward")->top_groups == 4);
}

TEST_CASE("the backward repeats what the plan recomputes and nothing else", "[model][layer]") {
  const Transformer t = preset("deepseek-v3");
  const LayerWork w = layer_work(t, v3_plan(), 30, 4096, 8);
  CHECK(holds(w.attn_b, "q_b_proj", true));
  CHECK(holds(w.attn_b, "input_layernorm", true));
  CHECK(holds(w.mlp_b, "experts.swiglu", true));
  CHECK(holds(w.mlp_b, "post_attention_layernorm", true));
  CHECK_FALSE(holds(w.attn_b, "attention", true));
  Plan none = v3_plan();
  none.recompute.clear();
  for (const Work& op : all(layer_work(t, none, 30, 4096, 8))) CHECK_FALSE(op.recomputed);
}

TEST_CASE("a recomputed layer repeats its forward pass but the combine", "[model][layer]") {
  Plan p = v3_plan();
  p.recompute = {"layer"};
  const LayerWork w = layer_work(preset("deepseek-v3"), p, 30, 4096, 8);
  const auto repeated = [](const Work& op) { return op.recomputed ? flops(op.shape) : 0; };
  const auto every = [](const Work& op) { return flops(op.shape); };
  CHECK(total(all(w), repeated) == Approx(total(w.attn_f, every) + total(w.mlp_f, every)));
  CHECK(holds(w.mlp_b, "dispatch", true));
  CHECK_FALSE(holds(w.mlp_b, "combine", true));
}

TEST_CASE("a dense layer sends nothing to other ranks", "[model][layer]") {
  const LayerWork w = layer_work(preset("deepseek-v3"), v3_plan(), 0, 4096, 8);
  CHECK((w.dispatch_f.empty() && w.combine_f.empty() && w.combine_b.empty() && w.dispatch_b.empty()));
  CHECK(find<Gemm>(w.mlp_f, "mlp.gate_up_proj")->n == 2 * 18432);
}

TEST_CASE("BF16 plans quantise nothing", "[model][layer]") {
  Plan p;
  p.ep = 8;
  for (const Work& w : all(layer_work(preset("mixtral-8x7b"), p, 3, 4096, 8))) {
    INFO(w.what);
    CHECK_FALSE(std::holds_alternative<Quantize>(w.shape));
    if (const auto* s = std::get_if<SwiGlu>(&w.shape)) CHECK_FALSE(s->quantize);
    if (const auto* d = std::get_if<Dispatch>(&w.shape)) CHECK(d->dtype == Dtype::bf16);
  }
}

TEST_CASE("tensor and context parallelism divide a layer's FLOPs", "[model][layer]") {
  const auto name = GENERATE(as<std::string>{}, "llama-3.1-405b", "qwen3-235b", "deepseek-v3");
  const Transformer t = preset(name);
  Plan one, many;
  many.tp = GENERATE(1, 2, 4);
  many.cp = GENERATE(1, 2);
  many.context_parallel = GENERATE(ContextParallel::ring, ContextParallel::all_to_all);
  const auto every = [](const Work& op) { return flops(op.shape); };
  const double whole = total(all(layer_work(t, one, 5, 8192, 8)), every);
  const double part = total(all(layer_work(t, many, 5, 8192, 8)), every);
  CHECK(part * static_cast<double>(many.tp * many.cp) == Approx(whole).epsilon(1e-9));
}

TEST_CASE("tensor parallelism gathers before and scatters after attention and MLP", "[model][layer]") {
  Plan p;
  p.tp = 8;
  const LayerWork w = layer_work(preset("llama-3.1-405b"), p, 5, 8192, 8);
  const std::int64_t bytes = 2 * 8192 * 16384;
  CHECK(*find<AllGather>(w.attn_f, "attention.all_gather") == AllGather{bytes, 8, 8});
  CHECK(*find<ReduceScatter>(w.attn_f, "attention.reduce_scatter") == ReduceScatter{bytes, 8, 8});
  CHECK(find<AllGather>(w.mlp_f, "mlp.all_gather") != nullptr);
  CHECK(find<ReduceScatter>(w.mlp_b, "mlp.gradient.reduce_scatter") != nullptr);
  // MLA gathers the latents: 1536 + 512 + 64 columns
  Plan v3 = v3_plan();
  v3.tp = 2;
  CHECK(find<AllGather>(layer_work(preset("deepseek-v3"), v3, 5, 4096, 8).attn_f, "attention.all_gather")->bytes ==
        2 * 4096 * 2112);
}

TEST_CASE("experts' rows do not depend on how expert parallelism is cut", "[model][layer]") {
  const Transformer t = preset("deepseek-v3");
  Plan p = v3_plan();
  p.ep = GENERATE(8, 32, 64, 256);
  const LayerWork w = layer_work(t, p, 30, 4096, 8);
  const auto* g = find<GroupedGemm>(w.mlp_f, "experts.gate_up_proj");
  CHECK(g->groups * g->m == 4096 * 8);
  const auto* m = find<Permute>(w.mlp_f, "permute");
  CHECK(m->tokens <= 4096 * 8);
  CHECK(m->tokens >= 4096);
}

TEST_CASE("expert-tensor parallelism halves the width and doubles the rows", "[model][layer]") {
  const Transformer t = preset("mixtral-8x7b");
  Plan p;
  p.ep = 4;
  const auto whole = *find<GroupedGemm>(layer_work(t, p, 3, 4096, 8).mlp_f, "experts.gate_up_proj");
  p.etp = 2;
  const LayerWork w = layer_work(t, p, 3, 4096, 8);
  const auto half = *find<GroupedGemm>(w.mlp_f, "experts.gate_up_proj");
  CHECK(half.n * 2 == whole.n);
  CHECK(half.m == 2 * whole.m);
  CHECK(find<AllGather>(w.mlp_f, "experts.all_gather") != nullptr);
}

TEST_CASE("a plan that does not divide the model is refused by name", "[model][layer]") {
  const Transformer t = preset("deepseek-v3");
  Plan p = v3_plan();
  p.ep = 7;
  CHECK_THROWS_WITH(layer_work(t, p, 30, 4096, 8), "n_routed_experts over ep: 256 does not divide by 7");
  p = v3_plan();
  p.tp = 3;
  CHECK_THROWS_AS(layer_work(t, p, 30, 4096, 8), std::invalid_argument);
}

TEST_CASE("the MTP edge joins two hidden states", "[model][layer]") {
  const EdgeWork e = mtp_edge_work(preset("deepseek-v3"), v3_plan(), 4096, 8);
  CHECK(*find<Gemm>(e.forward, "eh_proj") == Gemm{4096, 7168, 14336, Dtype::fp8_block});
  CHECK(*find<Gemm>(e.backward, "eh_proj.dgrad") == Gemm{4096, 14336, 7168, Dtype::fp8_block});
  CHECK(*find<Wgrad>(e.weight, "eh_proj.wgrad") == Wgrad{7168, 14336, 4096, Dtype::fp8_block});
}

TEST_CASE("the embedding and the head stay in BF16", "[model][layer]") {
  const Transformer t = preset("deepseek-v3");
  const EdgeWork head = head_work(t, v3_plan(), 4096, 8);
  CHECK(*find<Gemm>(head.forward, "lm_head") == Gemm{4096, 129280, 7168, Dtype::bf16});
  CHECK(*find<Wgrad>(head.weight, "lm_head.wgrad") == Wgrad{129280, 7168, 4096, Dtype::bf16});
  CHECK(embedding_work(t, v3_plan(), 4096, 8).backward.empty());
}
