// The same graph with other costs: a faster base, or what the intervals of the costs allow.
#pragma once
#include <array>
#include <span>
#include <variant>
#include <vector>

#include "model/train.hpp"

namespace railcast {

struct Retiming {
  std::array<double, kBases> rate;  ///< times as fast
  /// Standard normal deviate of each stem: all its costs are off together, by exp(z x spread / 1.645), since 90 % of a
  /// normal variable lies within 1.645 deviations.
  std::array<double, std::variant_size_v<Shape>> z{};
  Retiming() { rate.fill(1); }
};

/// Costs by CostId. What a cost draws of HBM and ports keeps its bytes: half the time is twice the draw, and a port
/// twice as fast is drawn half as much.
std::vector<OpCost> retimed(const TrainStep& step, const Retiming& r);
Time makespan(const TrainStep& step, const Retiming& r);

/// 90 % of steps are expected between them.
struct Interval {
  double low = 0, high = 0;
};
/// Latin hypercube of `samples` deviates per stem, hashed from `seed`, and where there are more samples than stems made
/// orthogonal, so that the stems' variances add; the interval is that of a normal ln(time) with the samples' mean and
/// deviation around the forecast.
Interval step_interval(const TrainStep& step, Time forecast, int samples = 32, std::uint64_t seed = 1);

/// d ln(makespan) / d ln(rate of all `bases` together) by a central difference of `by`, around `at`. Over the single
/// bases they sum to -1, as a machine twice as fast in everything halves the step.
double elasticity(const TrainStep& step, std::span<const Base> bases, const Retiming& at = {}, double by = 0.01);

/// What step_interval() samples.
std::vector<Retiming> sampled(int samples, std::uint64_t seed = 1);

}  // namespace railcast
