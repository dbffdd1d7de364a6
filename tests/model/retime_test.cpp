#include "model/retime.hpp"

#include <cmath>

#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

const std::string kTrain = std::string(RAILCAST_SOURCE_DIR) + "/scenarios/train/";

const Forecast& small() {
  static const Forecast f = forecast(load_scenario(kTrain + "mixtral-8x7b-64-h100.json"));
  return f;
}

Retiming all_faster(double by) {
  Retiming r;
  r.rate.fill(by);
  return r;
}

}  // namespace

TEST_CASE("every part of a cost belongs to one base", "[model][retime]") {
  const TrainStep& step = small().step;
  for (std::size_t i = 0; i < step.segments.size(); ++i) {
    double latency = 0, work = 0;
    for (const Share& x : step.segments[i].shares) latency += x.latency.seconds(), work += x.work.seconds();
    CHECK(latency == Approx(step.graph.costs[i].latency.seconds()).margin(1e-12));
    CHECK(work == Approx(step.graph.costs[i].work.seconds()).margin(1e-12));
  }
}

TEST_CASE("twice as fast in everything halves the step", "[model][retime]") {
  CHECK(makespan(small().step, {}) == small().trace.makespan);
  CHECK(makespan(small().step, all_faster(2)).seconds() == Approx(small().trace.makespan.seconds() / 2).epsilon(1e-4));
}

TEST_CASE("elasticities over the disjoint bases sum to -1", "[model][retime]") {
  double sum = 0;
  for (int i = 0; i < kBases; ++i) {
    const Base b = static_cast<Base>(i);
    const double e = elasticity(small().step, std::span(&b, 1));
    CHECK(e <= 1e-3);
    sum += e;
  }
  CHECK(sum == Approx(-1).margin(0.02));
}

TEST_CASE("an interval holds the forecast, is the same twice and grows with the spreads", "[model][retime]") {
  const double t = small().trace.makespan.seconds();
  const Interval once = step_interval(small().step, small().trace.makespan);
  const Interval again = step_interval(small().step, small().trace.makespan);
  CHECK(once.low == again.low);
  CHECK(once.high == again.high);
  CHECK(once.low < t);
  CHECK(once.high > t);
  TrainStep wider = small().step;
  for (Segment& s : wider.segments)
    for (Share& x : s.shares) x.spread *= 2;
  const Interval wide = step_interval(wider, small().trace.makespan);
  CHECK(wide.high - wide.low > 1.5 * (once.high - once.low));
  for (Segment& s : wider.segments)
    for (Share& x : s.shares) x.spread = 0;
  CHECK(step_interval(wider, small().trace.makespan).high == Approx(t).epsilon(1e-9));
}

TEST_CASE("samples of different kernels share nothing by chance, so their variances add", "[model][retime]") {
  const std::vector<Retiming> all = sampled(32);
  for (std::size_t a = 0; a < all[0].z.size(); ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      double product = 0, sum = 0;
      for (const Retiming& r : all) product += r.z[a] * r.z[b], sum += r.z[a];
      CHECK(product / 32 == Approx(a == b ? 1 : 0).margin(1e-9));
      CHECK(sum == Approx(0).margin(1e-9));
    }
}
