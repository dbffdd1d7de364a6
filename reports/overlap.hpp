// What running beside another chunk costs a lane segment: its time alone and in the F&B pairs of the step.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/train.hpp"

namespace railcast {

/// One kind of segment of a layer. Collectives inside a compute segment are left out.
struct Slowdown {
  Kind kind = Kind::attn_f;
  double alone_s = 0;       ///< latency and work at full speed
  double overlapped_s = 0;  ///< from start to end, mean over the ranks and pairs that run it
  double times() const { return alone_s > 0 ? overlapped_s / alone_s : 1; }
};

/// In the order of Kind; empty where the schedule overlaps nothing.
std::vector<Slowdown> slowdowns(const TrainStep& s, const Trace& t, std::int64_t layer);

std::string slowdowns_text(const std::vector<Slowdown>& all, double layer_pair_s);

}  // namespace railcast
