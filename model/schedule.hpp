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

/// Largest number of forward chunks whose activations a rank holds at once, wholly or in part: F and an overlapped
/// pair take one; the backward gives it back at its end; under a split backward, the weight's instruction does.
std::vector<std::int64_t> peak_in_flight(const Program& p);

/// How long each kind of instruction takes, in a unit of choice.
struct ChunkTimes {
  std::int64_t forward = 1, backward = 2, backward_input = 1, weight = 1, overlapped = 3;
  std::int64_t of(Step s) const;
};

struct ProgramRun {
  std::int64_t makespan = 0;
  std::vector<std::int64_t> busy, start, end;  ///< by pipeline rank
};

/// Runs the lists in order, every instruction as soon as its rank is free and its inputs are there; sends take no
/// time. Throws std::invalid_argument where the program is not valid: each (stage, micro-batch) has one F and one B
/// (or backward_input with its weight), W follows B, and no rank waits for ever (a cycle across ranks).
ProgramRun run_program(const Plan& p, const Program& program, std::int64_t micro_batches, const ChunkTimes& t = {});

}  // namespace railcast
