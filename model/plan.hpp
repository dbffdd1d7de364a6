// Plan: how a model is laid over GPUs. Ranks are numbered tensor-parallel fastest, then context, then data
// (expert-parallel groups are runs of neighbouring data ranks), then pipeline.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/shapes.hpp"

namespace railcast {

struct Transformer;

enum class Schedule : std::uint8_t { one_f_one_b, interleaved, zb1p, zbv, dualpipe, dualpipe_v };
const char* name(Schedule s);

enum class ContextParallel : std::uint8_t { ring, all_to_all };

struct Plan {
  std::int64_t pp = 1, vp = 1, ep = 1, etp = 1, tp = 1, cp = 1, dp = 0;  ///< dp 0: all GPUs left
  std::int64_t zero = 1, micro_batch = 1, comm_sms = 20;
  std::int64_t micro_batch_group = 0;  ///< interleaved: micro-batches per round; 0: pp
  Schedule schedule = Schedule::one_f_one_b;
  ContextParallel context_parallel = ContextParallel::ring;
  Dtype precision = Dtype::bf16;
  std::vector<std::string> recompute;      ///< "rmsnorm", "mla_up", "swiglu", "attention", "layer"
  std::string split = "balanced";          ///< "balanced", "uniform" or "list"
  std::vector<std::int64_t> split_layers;  ///< layers per stage where split is "list"

  bool recomputes(const std::string& what) const;
};

/// Number of stages the model is cut into: pp (one_f_one_b, zb1p, dualpipe: each of its ranks holds two of them),
/// pp x vp (interleaved) or 2 pp (zbv, dualpipe_v).
std::int64_t stages(const Plan& p);

/// The stages a pipeline rank holds, in the order of its chunks: r; r + i pp (interleaved); r and 2pp-1-r (zbv,
/// dualpipe_v); r and pp-1-r (dualpipe: chunk 0 serves micro-batches that enter at rank 0, chunk 1 those at pp-1).
std::vector<std::int64_t> stages_of(const Plan& p, std::int64_t pp_rank);

/// Data-parallel pipelines: plan.dp, or all GPUs left by tp x cp x pp.
std::int64_t dp(const Plan& p, std::int64_t gpus);
/// Ranks of a stage that hold the same experts: tp x cp x dp / (ep x etp).
std::int64_t expert_dp(const Plan& p, std::int64_t gpus);
/// Micro-batches per pipeline and step (DualPipe: from both ends together): global_batch / (dp x micro_batch).
std::int64_t micro_batches(const Plan& p, std::int64_t gpus, std::int64_t global_batch);

/// Throws std::invalid_argument where the plan is impossible for the model on this many GPUs. The message starts with
/// the plan's key and names values that would do.
void check_plan(const Plan& p, const Transformer& t, std::int64_t gpus, std::int64_t global_batch);

}  // namespace railcast
