#include "model/plan.hpp"

#include <stdexcept>

#include "model/transformer.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

/// DeepSeek-V3's own layout on 2048 GPUs (arXiv 2412.19437, 3.2 and 4.2).
Plan v3_plan() {
  Plan p;
  p.pp = 16;
  p.ep = 64;
  p.schedule = Schedule::dualpipe;
  p.recompute = {"rmsnorm", "mla_up", "swiglu"};
  return p;
}

Transformer v3_like() {
  Transformer t;
  t.model_type = "deepseek_v3";
  t.num_hidden_layers = 61;
  t.hidden_size = 7168;
  t.num_attention_heads = t.num_key_value_heads = 128;
  t.kv_lora_rank = 512;
  t.n_routed_experts = 256;
  t.moe_intermediate_size = 2048;
  return t;
}

template <class Change>
void refused(Change change, const std::string& key, const std::string& why) {
  auto p = v3_plan();
  auto t = v3_like();
  change(p, t);
  CHECK_THROWS_AS(check_plan(p, t, 2048, 15360), std::invalid_argument);
  CHECK_THROWS_WITH(check_plan(p, t, 2048, 15360), Catch::Matchers::StartsWith(key + ": "));
  CHECK_THROWS_WITH(check_plan(p, t, 2048, 15360), ContainsSubstring(why));
}

}  // namespace

TEST_CASE("each schedule cuts the model into its own stages", "[model][plan]") {
  Plan p;
  p.pp = 4;
  p.vp = 3;
  using Stages = std::vector<std::int64_t>;
  p.schedule = Schedule::one_f_one_b;
  CHECK(stages(p) == 4);
  CHECK(stages_of(p, 1) == Stages{1});
  p.schedule = Schedule::interleaved;
  CHECK(stages(p) == 12);
  CHECK(stages_of(p, 1) == Stages{1, 5, 9});
  for (const auto s : {Schedule::zbv, Schedule::dualpipe_v}) {
    p.schedule = s;
    CHECK(stages(p) == 8);
    CHECK(stages_of(p, 1) == Stages{1, 6});
  }
  p.schedule = Schedule::dualpipe;
  CHECK(stages(p) == 4);
  CHECK(stages_of(p, 3) == Stages{3, 0});
}

TEST_CASE("DeepSeek-V3 on 2048 GPUs: 128 pipelines, experts held twice, 120 micro-batches", "[model][plan]") {
  const auto p = v3_plan();
  CHECK_NOTHROW(check_plan(p, v3_like(), 2048, 15360));
  CHECK(dp(p, 2048) == 128);
  CHECK(expert_dp(p, 2048) == 2);
  CHECK(micro_batches(p, 2048, 15360) == 120);
}

TEST_CASE("an impossible plan is refused by its key, with a remedy", "[model][plan]") {
  refused([](Plan& p, Transformer&) { p.ep = 48; }, "plan.ep", "48 does not divide 256 experts; use 32 or 64");
  refused([](Plan& p, Transformer&) { p.ep = 256; }, "plan.ep", "does not divide the 128 GPUs of a stage");
  refused([](Plan&, Transformer& t) { t.n_routed_experts = 0; }, "plan.ep", "no experts; set ep to 1");
  refused([](Plan& p, Transformer&) { p.dp = 256; }, "plan.dp", "asks for 4096 GPUs, there are 2048");
  refused([](Plan& p, Transformer&) { p.dp = 64; }, "plan.dp", "uses 1024 of 2048 GPUs; use dp 128");
  refused([](Plan& p, Transformer&) { p.pp = 4096; }, "plan.pp", "asks for 4096 GPUs");
  refused([](Plan& p, Transformer&) { p.pp = 12; }, "plan.pp", "does not divide the 2048 GPUs");
  refused([](Plan& p, Transformer&) { p.tp = 0; }, "plan.tp", "not a positive count");
  refused(
      [](Plan& p, Transformer&) {
        p.tp = 256;
        p.pp = 2;
      },
      "plan.tp", "128 attention heads; use 128");
  refused([](Plan& p, Transformer&) { p.zero = 4; }, "plan.zero", "not one of");
  refused([](Plan& p, Transformer&) { p.vp = 2; }, "plan.vp", "dualpipe takes no virtual stages");
  refused([](Plan& p, Transformer&) { p.micro_batch = 7; }, "plan.micro_batch", "use a global batch of 16128");
  refused([](Plan& p, Transformer&) { p.micro_batch = 4; }, "plan.schedule", "at least 32 micro-batches");
  refused([](Plan& p, Transformer&) { p.recompute = {"rmsnrom"}; }, "plan.recompute", "unknown entry \"rmsnrom\"");
  refused([](Plan&, Transformer& t) { t.kv_lora_rank = 0; }, "plan.recompute", "mla_up needs latent attention");
}

TEST_CASE("key-value heads may be fewer than tensor-parallel ranks, in whole copies", "[model][plan]") {
  Plan p;
  p.tp = 8;
  Transformer t = v3_like();
  t.kv_lora_rank = 0;
  t.num_key_value_heads = 4;
  CHECK_NOTHROW(check_plan(p, t, 64, 64));
  t.num_key_value_heads = 3;
  CHECK_THROWS_WITH(check_plan(p, t, 64, 64), ContainsSubstring("3 key-value heads"));
}
