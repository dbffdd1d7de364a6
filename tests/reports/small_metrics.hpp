// The figures of the hand-written 1F1B step, with two ranks' memory.
#pragma once
#include "reports/metrics.hpp"
#include "tests/reports/small_step.hpp"

namespace railcast {

inline Metrics small_metrics(const Scenario& s) {
  const Timed t = one_f_one_b_step();
  const RankMemory first{0, {0}, {1e9, 2e9, 3e9, 4e9, 5e9, 6e9}, 1, 2},
      second{1, {1}, {1e9, 2e9, 3e9, 5e9, 5e9, 6e9}, 1, 1};
  return metrics(s, t.step, t.trace, {first, second});
}

}  // namespace railcast
