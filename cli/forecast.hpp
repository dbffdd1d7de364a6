// The one way from a Scenario to its forecast; every verb goes through it.
#pragma once
#include <string>
#include <vector>

#include "model/memory.hpp"
#include "model/scenario.hpp"
#include "model/train.hpp"
#include "reports/metrics.hpp"

namespace railcast {

struct Forecast {
  TrainStep step;
  Trace trace;
  Metrics metrics;
  std::vector<RankMemory> memory;
};

/// Lowers, simulates and measures one training step. Throws BadInput where the plan is impossible; a plan that does
/// not fit in memory is forecast all the same.
Forecast forecast(const Scenario& s, bool fold = true);

/// The 90 % interval of the step time, from the spreads of its costs, by re-timing the (folded) step's graph.
void add_interval(Forecast& f);
/// As above; for a step with loads of its own for every rank, from a folded one beside it.
void add_interval(const Scenario& s, Forecast& f);

/// What a reader must know beside the figures: what was assumed, what does not fit and what would help, which expected
/// figures are not met.
std::vector<std::string> warnings(const Scenario& s, const Forecast& f);

}  // namespace railcast
