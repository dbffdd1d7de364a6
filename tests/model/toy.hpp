// A scenario small enough to reason about, with a cost model of round numbers.
#pragma once
#include <memory>

#include "model/scenario.hpp"

namespace railcast {

/// Every compute shape takes 10 us per 1e9 FLOPs (1 us at least) and draws half of HBM and all of the power, so that
/// overlap slows it; every collective takes 30 us and draws a fifth of everything.
class ToyCosts : public CostModel {
 public:
  Cost cost(const Shape& s, std::int64_t sms) const override {
    Cost c;
    c.latency = Time::ps(500'000);
    if (is_collective(s)) {
      c.work = Time::ps(30'000'000), c.draw = {0.2, 0.6, 1, 0.1};
    } else {
      c.work = Time::seconds(1e-6 + flops(s) * 1e-14 * 132 / static_cast<double>(sms)), c.draw = {0.5, 0, 0, 1};
    }
    return c;
  }
};

inline Scenario toy_scenario() {
  Scenario s;
  s.path = "toy.json";
  s.model.model_type = "deepseek_v3";
  s.model.num_hidden_layers = 9, s.model.hidden_size = 1024, s.model.vocab_size = 4096;
  s.model.intermediate_size = 2048, s.model.num_attention_heads = 8, s.model.num_key_value_heads = 8;
  s.model.q_lora_rank = 256, s.model.kv_lora_rank = 128, s.model.qk_nope_head_dim = 128;
  s.model.qk_rope_head_dim = 64, s.model.v_head_dim = 128, s.model.head_dim = 192;
  s.model.n_routed_experts = 32, s.model.n_shared_experts = 1, s.model.num_experts_per_tok = 4;
  s.model.moe_intermediate_size = 256, s.model.shared_intermediate_size = 256, s.model.first_k_dense_replace = 1;
  s.model.n_group = 4, s.model.topk_group = 2, s.model.num_nextn_predict_layers = 1;
  s.model.scoring_func = "sigmoid";
  s.machine.name = "toy", s.machine.sms = 132, s.machine.gpus_per_node = 4, s.machine.max_nodes = 64;
  s.machine.memory = Bytes(80e9), s.machine.bf16_peak = FlopRate(1e15), s.machine.fp8_peak = FlopRate(2e15);
  s.machine.hbm = ByteRate(3e12);
  s.nodes = 8;
  s.plan.pp = 4, s.plan.ep = 4, s.plan.schedule = Schedule::dualpipe, s.plan.precision = Dtype::fp8_block;
  s.train = {512, 8 * 16};
  s.costs = std::make_shared<ToyCosts>();
  return s;
}

}  // namespace railcast
