#include "reports/json.hpp"

#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/reports/small_metrics.hpp"

using namespace railcast;
using Json = nlohmann::ordered_json;

TEST_CASE("the JSON holds the contract's names in order", "[reports][json]") {
  const Scenario s = small_scenario();
  const Json j = Json::parse(run_json(s, small_metrics(s), {"w"}));
  std::vector<std::string> keys;
  for (const auto& [key, value] : j.items()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"step_time_s",
                                         "tokens_per_s",
                                         "tokens_per_day",
                                         "tflops_per_gpu_causal",
                                         "mfu_causal",
                                         "mfu_noncausal",
                                         "gpu_hours_per_trillion_tokens",
                                         "phases",
                                         "exposed_comm_s",
                                         "layer_pair_s",
                                         "memory",
                                         "kv_bytes_per_token",
                                         "provenance",
                                         "flops_per_token",
                                         "parameters",
                                         "ops",
                                         "events",
                                         "critical_path",
                                         "expect",
                                         "warnings"});
  CHECK(j["layer_pair_s"].is_null());
  CHECK(j["kv_bytes_per_token"].is_number_integer());
  CHECK(j["memory"]["by_rank"][0]["by_category"]["workspace"] == 6'000'000'000);
  CHECK(j["parameters"]["total"].is_number_integer());
}

TEST_CASE("a figure that is only compared has no verdict", "[reports][json]") {
  Scenario s = small_scenario();
  s.expect = {{"step_time_s", "10 ms", "a", 10e-3, 0.2}, {"phases.bubble_s", "1 ms", "b", 1e-3, INFINITY}};
  const Json j = Json::parse(run_json(s, small_metrics(s), {}));
  CHECK(j["expect"][0]["met"] == true);
  CHECK(j["expect"][1]["met"].is_null());
  CHECK(j["expect"][1]["within"].is_null());
}

TEST_CASE("numbers read back as they were, and the bytes are the same each time", "[reports][json]") {
  const Scenario s = small_scenario();
  const Metrics m = small_metrics(s);
  const Json j = Json::parse(run_json(s, m, {}));
  CHECK(j["tokens_per_s"].get<double>() == m.tokens_per_s);
  CHECK(j["phases"]["bubble_s"].get<double>() == m.phases.bubble_s);
  double sum = 0;
  for (const auto& [phase, seconds] : j["phases"].items()) sum += seconds.get<double>();
  CHECK(sum == Approx(j["step_time_s"].get<double>()));
  CHECK(run_json(s, m, {}) == run_json(s, small_metrics(s), {}));
}

TEST_CASE("a schedule that is not legal has null metrics and a reason", "[reports][json]") {
  const Scenario s = small_scenario();
  const Json j = Json::parse(
      schedules_json(s, {{Schedule::dualpipe, small_metrics(s), ""}, {Schedule::zbv, {}, "too few layers"}}));
  CHECK(j["schedules"][0]["fits"] == true);
  CHECK(j["schedules"][0]["metrics"]["step_time_s"] == 9e-3);
  CHECK(j["schedules"][1]["metrics"].is_null());
  CHECK(j["schedules"][1]["reason"] == "too few layers");
}

TEST_CASE("explain gives each op's figures in SI units", "[reports][json]") {
  const Json j = Json::parse(explain_json(
      {{"ATTN(F)", "norm", "rms_norm 4x8", 0, 64, 132, Time::seconds(2e-6), Provenance::interpolated, "rms_norm.csv"}},
      {{Kind::dispatch_f, 2e-3, 3e-3}}));
  CHECK(j["ops"][0]["time_s"] == 2e-6);
  CHECK(j["ops"][0]["provenance"] == "interpolated");
  CHECK(j["overlapped"][0]["segment"] == "DISPATCH(F)");
  CHECK(j["overlapped"][0]["times"] == 1.5);
}
