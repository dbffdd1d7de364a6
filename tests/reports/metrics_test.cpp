#include "reports/metrics.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_metrics.hpp"

using namespace railcast;

namespace {

double value(const Metrics& m, const std::string& name) {
  for (const NamedValue& v : named_values(m))
    if (v.name == name) return v.value;
  FAIL(name << " is not there");
  return 0;
}

}  // namespace

TEST_CASE("speed follows from the step time, the batch and the model's FLOPs", "[reports][metrics]") {
  const Scenario s = small_scenario();
  const Metrics m = small_metrics(s);
  CHECK(m.step_time_s == Approx(9e-3));
  CHECK(m.tokens_per_s == Approx(32 * 128 / 9e-3));
  CHECK(m.tokens_per_day == Approx(86400 * 32 * 128 / 9e-3));
  const double flops = flops_per_token(s.model, 128, true), all = flops_per_token(s.model, 128, false);
  CHECK(m.flops_per_token == flops);
  CHECK(m.tflops_per_gpu_causal == Approx(flops * 32 * 128 / 9e-3 / 16 / 1e12));
  CHECK(m.mfu_causal == Approx(flops * 32 * 128 / 9e-3 / 16 / 1e15));
  CHECK(m.mfu_noncausal / m.mfu_causal == Approx(all / flops));
  CHECK(all > flops);
}

TEST_CASE("the published step time of V3 gives its published tokens per day and GPU-hours", "[reports][metrics]") {
  Scenario s =
      small_scenario();  // arXiv 2505.09343, table 4: 19.926 s, 272.8 B tokens/day; 2412.19437: 180 K GPU-hours
  s.nodes = 256, s.train = {4096, 15360};
  SmallStep step(Program(1));
  step.op({0, 0, 0, Kind::optimizer}, 0, 19926);
  const Timed t = std::move(step).done();
  const Metrics m = metrics(s, t.step, t.trace, {});
  CHECK(m.tokens_per_day == Approx(272.8e9).epsilon(1e-3));
  CHECK(m.gpu_hours_per_trillion_tokens == Approx(180e3).epsilon(3e-3));
}

TEST_CASE("memory is that of the rank that needs most", "[reports][metrics]") {
  Scenario s = small_scenario();
  const Metrics m = small_metrics(s);
  CHECK(m.memory.peak_bytes == 22e9);
  CHECK(m.memory.by_category.activations == 5e9);
  CHECK(m.memory.by_rank.size() == 2);
  CHECK(m.memory.by_rank[1].layers == 2);
  CHECK(m.memory.fits());
  s.machine.memory = Bytes(21.9e9);
  CHECK_FALSE(small_metrics(s).memory.fits());
}

TEST_CASE("every single figure has a dotted name", "[reports][metrics]") {
  const Metrics m = small_metrics(small_scenario());
  CHECK(value(m, "phases.bubble_s") == Approx(3e-3));
  CHECK(value(m, "memory.by_category.weights") == 1e9);
  CHECK(value(m, "provenance.measured") == Approx(1));
  CHECK(value(m, "parameters.total") == static_cast<double>(m.parameters.total));
  CHECK(value(m, "ops") == 12);
}

TEST_CASE("an expectation is met within its tolerance", "[reports][metrics]") {
  Scenario s = small_scenario();
  s.expect = {{"step_time_s", "10 ms", "a paper", 10e-3, 0.11}, {"step_time_s", "10 ms", "a paper", 10e-3, 0.09}};
  const auto found = outcomes(s, small_metrics(s));
  CHECK(found[0].error == Approx(-0.1));
  CHECK(found[0].met());
  CHECK_FALSE(found[1].met());
}

TEST_CASE("an expectation of an unknown metric is refused by its place", "[reports][metrics]") {
  Scenario s = small_scenario();
  s.expect = {{"step_tme_s", "10 ms", "a paper", 10e-3, 0.1}};
  CHECK_THROWS_WITH(outcomes(s, small_metrics(s)), Catch::Matchers::ContainsSubstring("small.json#/expect/0/metric"));
}
