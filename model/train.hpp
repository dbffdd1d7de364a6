// A training step lowered to a Graph: instructions to lane segments to ops with dependencies.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/base.hpp"
#include "model/layout.hpp"
#include "model/scenario.hpp"
#include "model/schedule.hpp"
#include "model/split.hpp"
#include "sim/graph.hpp"

namespace railcast {

/// What an op is: a lane segment of one layer, or one of the step's edges.
enum class Kind : std::uint8_t {
  attn_f,
  dispatch_f,
  mlp_f,
  combine_f,  // forward, in order
  combine_b,
  mlp_b,
  mlp_w,
  dispatch_b,
  attn_b,
  attn_w,  // backward
  embedding_f,
  embedding_b,
  mtp_f,
  mtp_b,
  mtp_w,
  head_f,
  head_b,
  head_w,
  collective,  // TP or CP collective inside a segment
  send_f,
  send_b,  // activations and gradients between stages
  reduce_scatter,
  optimizer,
  all_gather  // ZeRO and AdamW
};
inline constexpr int kKinds = 24;
const char* name(Kind k);
/// dispatch, combine, collective, send, reduce_scatter and all_gather run on the communication lane.
bool is_communication(Kind k);
bool is_send(Kind k);

/// An op's label. `who` is an index into TrainStep::ranks, or, for a gang, into TrainStep::gangs. `instruction` indexes
/// the program of the rank's pipeline rank (for a send: the sender's); one past its end is the optimizer's phase.
/// Within a gang other than a send all members run the same instruction.
struct Tag {
  std::uint32_t who = 0, instruction = 0, layer = 0;
  Kind kind = Kind::attn_f;
  bool gang = false;
};
std::uint64_t pack(const Tag& t);  ///< who 24 bits, gang 1, kind 7, instruction 20, layer 12
Tag unpack(std::uint64_t tag);

/// A simulated rank; `count` ranks of the cluster behave like it (1 without folding).
struct SimulatedRank {
  std::int64_t rank = 0, pp_rank = 0, count = 1;
};

/// What a CostId stands for.
struct Segment {
  Kind kind = Kind::attn_f;
  std::int64_t layer = 0;
  std::array<Time, kProvenances> by_provenance{};  ///< latency + work, by where the figures come from
  Time own;                                        ///< of it, on railcast's own kernels: measured or interpolated
  Shares shares = {};                              ///< of its cost, before faults of the fabric stretch it
};

struct TrainStep {
  Graph graph;
  Program program;
  std::vector<StageLayers> stages;
  std::vector<SimulatedRank> ranks;
  std::vector<std::vector<std::uint32_t>> gangs;  ///< members, as indices into ranks
  std::vector<Group> gang_groups;                 ///< by gang: of what kind
  std::vector<Segment> segments;                  ///< by CostId
};

/// Lowers one step of `s`. With `fold`, ranks that behave alike are simulated once. Throws BadInput where the plan does
/// not fit the model or the machine.
TrainStep lower_train(const Scenario& s, bool fold);

}  // namespace railcast
