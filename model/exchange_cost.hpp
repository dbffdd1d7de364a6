// Dispatch and combine as Costs of a step.
#pragma once
#include <memory>

#include "model/cost.hpp"

namespace railcast {

/// The chunk pipeline of normal mode with the gate of the V3 report, on Machine::exchange, which must be known();
/// layout and notify are in its latency where the shape has them. One SM does the roles of a channel's two in turn.
Cost pipeline_cost(const Machine& m, const Dispatch& d, bool combine, std::int64_t sms);

/// Remembers the costs of dispatches and combines, which take a simulation each; above 1024 tokens one per 256 of them,
/// work in proportion in between. Safe to share among threads.
std::unique_ptr<CostModel> remembering(std::unique_ptr<CostModel> costs);

}  // namespace railcast
