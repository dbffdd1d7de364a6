// Memory of each pipeline rank over a step: a walk of its instructions with bytes taken and given back.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/scenario.hpp"
#include "model/schedule.hpp"
#include "model/split.hpp"

namespace railcast {

/// Bytes by category on one GPU.
struct MemoryUse {
  double weights = 0;        ///< compute copies (FP8 or BF16)
  double gradients = 0;      ///< FP32 accumulators (sharded under ZeRO 2 and 3)
  double optimizer = 0;      ///< FP32 master weights and BF16 moments, sharded under ZeRO
  double activations = 0;    ///< at the peak
  double communication = 0;  ///< dispatch, combine and NCCL buffers
  double workspace = 0;      ///< CUDA context, GEMM workspace, logits
  double total() const { return weights + gradients + optimizer + activations + communication + workspace; }
};

/// One pipeline rank at its peak. `at` is the instruction during which the peak is reached.
struct RankMemory {
  std::int64_t pp_rank = 0;
  std::vector<std::int64_t> stages;
  MemoryUse peak;
  std::size_t at = 0;
  std::int64_t in_flight = 0;  ///< largest number of forward chunks held at once
};

std::vector<RankMemory> rank_memory(const Scenario& s, const Program& program, const std::vector<StageLayers>& stages);

/// By how much the plan does not fit the machine's memory, at which rank, what takes it, and which changes of the plan
/// would fit; empty where it fits.
std::string memory_advice(const Scenario& s, const std::vector<RankMemory>& ranks);

}  // namespace railcast
