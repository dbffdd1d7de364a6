// A step written down by hand: ops with their times, as a simulation would have left them.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "model/train.hpp"

namespace railcast {

/// A step and its trace.
struct Timed {
  TrainStep step;
  Trace trace;
};

class SmallStep {
 public:
  /// One rank of the cluster per program, on pipeline ranks 0, 1, ...
  explicit SmallStep(Program program) {
    step_.program = std::move(program);
    for (std::size_t r = 0; r < step_.program.size(); ++r)
      step_.ranks.push_back({static_cast<std::int64_t>(r), static_cast<std::int64_t>(r), 1});
  }
  TrainStep& step() { return step_; }
  /// An op from `start` to `end` (milliseconds) whose cost comes from `p`.
  OpId op(const Tag& tag, double start, double end, std::initializer_list<OpId> after = {},
          Provenance p = Provenance::measured) {
    const Time took = Time::seconds((end - start) * 1e-3);
    Segment segment{tag.kind, tag.layer, {}, {}};
    segment.by_provenance[static_cast<std::size_t>(p)] = took;
    step_.segments.push_back(segment);
    const OpId id = graph_.op(graph_.cost({Time(), took}), none_, pack(tag));
    for (OpId before : after) graph_.link(before, id);
    trace_.start.push_back(Time::seconds(start * 1e-3));
    trace_.end.push_back(Time::seconds(end * 1e-3));
    trace_.makespan = std::max(trace_.makespan, trace_.end.back());
    return id;
  }
  std::uint32_t gang(std::vector<std::uint32_t> members) {
    step_.gangs.push_back(std::move(members));
    return static_cast<std::uint32_t>(step_.gangs.size() - 1);
  }
  Timed done() && {
    step_.graph = std::move(graph_).build();
    return {std::move(step_), std::move(trace_)};
  }

 private:
  TrainStep step_;
  GraphBuilder graph_;
  UsesId none_ = graph_.uses({});
  Trace trace_;
};

/// Two stages of one MoE layer each, a dense stage before and one with the head after; 16 GPUs of 1 PFLOP/s.
inline Scenario small_scenario() {
  Scenario s;
  s.path = "small.json";
  s.model.model_type = "qwen3_moe";
  s.model.num_hidden_layers = 4, s.model.hidden_size = 64, s.model.vocab_size = 128;
  s.model.intermediate_size = 256, s.model.num_attention_heads = 4, s.model.num_key_value_heads = 2;
  s.model.head_dim = 16, s.model.n_routed_experts = 8, s.model.num_experts_per_tok = 2;
  s.model.moe_intermediate_size = 32, s.model.first_k_dense_replace = 1;
  s.machine.name = "small", s.machine.gpus_per_node = 8, s.machine.max_nodes = 2;
  s.machine.bf16_peak = FlopRate(1e15), s.machine.memory = Bytes(80e9);
  s.nodes = 2;
  s.plan.pp = 2;
  s.train = {128, 32};
  return s;
}

/// F and B of two micro-batches on two stages, 1 ms and 2 ms, sends at once: 1F1B, 9 ms. Rank 0 then stays idle from
/// 4 to 5 and 7 ... as in the textbook's figure.
inline Timed one_f_one_b_step() {
  const Instruction f0{Step::forward, 0, 0}, f1{Step::forward, 0, 1}, b0{Step::backward, 0, 0},
      b1{Step::backward, 0, 1};
  SmallStep s({{f0, f1, b0, b1}, {f0, b0, f1, b1}});
  s.step().stages = {{0, 2, true, false}, {2, 2, false, true}};
  const std::uint32_t up = s.gang({0, 1}), down = s.gang({1, 0});
  const auto op = [&](std::uint32_t rank, std::uint32_t instruction, Kind k, double start, double end,
                      std::initializer_list<OpId> after, bool gang = false) {
    return s.op({rank, instruction, 0, k, gang}, start, end, after);
  };
  const OpId f00 = op(0, 0, Kind::attn_f, 0, 1, {}), s0 = op(up, 0, Kind::send_f, 1, 1, {f00}, true);
  const OpId f01 = op(0, 1, Kind::attn_f, 1, 2, {f00}), s1 = op(up, 1, Kind::send_f, 2, 2, {f01, s0}, true);
  const OpId f10 = op(1, 0, Kind::attn_f, 1, 2, {s0}), b10 = op(1, 1, Kind::attn_b, 2, 4, {f10});
  const OpId t0 = op(down, 1, Kind::send_b, 4, 4, {b10}, true), f11 = op(1, 2, Kind::attn_f, 4, 5, {b10, s1});
  const OpId b11 = op(1, 3, Kind::attn_b, 5, 7, {f11}), t1 = op(down, 3, Kind::send_b, 7, 7, {b11, t0}, true);
  const OpId b00 = op(0, 2, Kind::attn_b, 4, 6, {f01, t0});
  op(0, 3, Kind::attn_b, 7, 9, {b00, t1});
  return std::move(s).done();
}

}  // namespace railcast
