// Schedules are data: a list of instructions per pipeline rank, generated once, lowered once.
#pragma once
#include <cstdint>
#include <vector>

#include "model/plan.hpp"

namespace railcast {

/// forward F; backward (both halves) B; backward_input: B without W; weight: W alone; overlapped: one F beside one
/// full B (of another micro-batch), the pair that DualPipe runs as one.
enum class Step : std::uint8_t { forward, backward, backward_input, weight, overlapped };

/// One instruction. `chunk` indexes the rank's own stages (stages_of); DualPipe's two directions are its chunks 0
/// and 1. For `overlapped`, (chunk, micro_batch) is the forward and (chunk_b, micro_batch_b) the backward.
struct Instruction {
  Step step = Step::forward;
  std::int32_t chunk = 0, micro_batch = 0;
  std::int32_t chunk_b = -1, micro_batch_b = -1;
  bool operator==(const Instruction&) const = default;
};

using Program = std::vector<std::vector<Instruction>>;  ///< by pipeline rank

/// Generates the program for `micro_batches` per pipeline (DualPipe: half from each end).
/// Throws std::invalid_argument saying what the schedule needs where it is not legal.
Program make_program(const Plan& p, std::int64_t micro_batches);

// One file each: one_f_one_b.cpp interleaved.cpp zero_bubble.cpp dualpipe.cpp.
Program one_f_one_b(std::int64_t pp, std::int64_t micro_batches);
Program interleaved(std::int64_t pp, std::int64_t vp, std::int64_t group, std::int64_t micro_batches);
Program zb1p(std::int64_t pp, std::int64_t micro_batches);
Program zbv(std::int64_t pp, std::int64_t micro_batches);
Program dualpipe(std::int64_t pp, std::int64_t micro_batches);
Program dualpipe_v(std::int64_t pp, std::int64_t micro_batches);

/// Largest number of forward chunks whose activations a rank holds at once (F and an overlapped pair take one; the
/// backward gives it back at its end; under a split backward, backward_input gives back all but the weight's part).
std::vector<std::int64_t> peak_in_flight(const Program& p);

}  // namespace railcast
