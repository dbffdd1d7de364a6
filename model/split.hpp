// Which layers each pipeline stage holds.
#pragma once
#include <cstdint>
#include <vector>

#include "model/plan.hpp"
#include "model/transformer.hpp"

namespace railcast {

/// A contiguous run of layers. The first stage holds the embedding; the last the head, the loss and the MTP modules.
struct StageLayers {
  std::int64_t first = 0, count = 0;
  bool embedding = false, head = false;
};

/// One entry per stage (stages(p) of them). "balanced": the contiguous split with the smallest maximum of a stage's
/// forward FLOPs, embedding, heads and MTP counted (ties: the smallest sum of squares, as the head alone may set the
/// maximum; then the earliest stages take more); "uniform": as equal as can be in layers, the longer stages first;
/// "list": as given. Throws std::invalid_argument where it cannot be done.
std::vector<StageLayers> split_layers(const Transformer& t, const Plan& p, std::int64_t sequence);

}  // namespace railcast
