// The verbs as users run them.
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

TEST_CASE("the V3 preset is forecast within what is published", "[cli][v3]") {
  const json uniform = json::parse(command("run " + kV3 + " --set plan.split=uniform --json").out);
  const json balanced = json::parse(command("run " + kV3 + " --set plan.split=balanced --json").out);
  CHECK(uniform["step_time_s"].get<double>() == Approx(19.926).epsilon(0.05));
  CHECK(balanced["step_time_s"].get<double>() < uniform["step_time_s"].get<double>());
  for (const json& f : {uniform, balanced}) {
    CHECK(f["layer_pair_s"].get<double>() >= 0.9 * 31.3e-3);
    CHECK(f["layer_pair_s"].get<double>() <= 1.1 * 32.8e-3);
  }
  CHECK(uniform["layer_pair_s"].get<double>() >= 0.95 * 31.3e-3);
  CHECK(uniform["flops_per_token"].get<double>() == Approx(250e9).epsilon(0.02));
  CHECK(uniform["parameters"]["total"].get<double>() == Approx(671.0e9).epsilon(0.005));
  CHECK(uniform["kv_bytes_per_token"].get<double>() == 70272);
  CHECK(uniform["memory"]["peak_bytes"].get<double>() < 80e9);
}

TEST_CASE("the JSON has the names that scripts rely on", "[cli]") {
  const Result r = command("run " + kV3 + " --json -");
  CHECK(r.code == 0);
  const json f = json::parse(r.out);
  for (const char* name : {"step_time_s", "tokens_per_s", "tokens_per_day", "tflops_per_gpu_causal", "mfu_causal",
                           "mfu_noncausal", "gpu_hours_per_trillion_tokens", "exposed_comm_s", "layer_pair_s",
                           "kv_bytes_per_token", "flops_per_token", "ops", "events"}) {
    INFO(name);
    CHECK(f.at(name).is_number());
  }
  double phases = 0;
  for (const char* name : {"forward_s", "backward_s", "weight_s", "overlapped_s", "bubble_s", "optimizer_s"})
    phases += f.at("phases").at(name).get<double>();
  CHECK(phases == Approx(f["step_time_s"].get<double>()).epsilon(1e-9));
  double shares = 0;
  for (const char* name : {"measured", "interpolated", "extrapolated", "assumed"})
    shares += f.at("provenance").at(name).get<double>();
  CHECK(shares == Approx(1).epsilon(1e-9));
  for (const char* name : {"total", "active", "mtp"}) CHECK(f.at("parameters").contains(name));
  for (const char* name : {"peak_bytes", "capacity_bytes", "by_category", "by_rank"})
    CHECK(f.at("memory").contains(name));
}

TEST_CASE("every preset does what it says it does", "[cli][presets][slow]") {
  int presets = 0;
  for (const char* kind : {"train", "network", "layer"})
    for (const auto& entry :
         std::filesystem::directory_iterator(RAILCAST_SOURCE_DIR "/scenarios/" + std::string(kind))) {
      const Result r = command("run " + entry.path().string());
      INFO(entry.path() << "\n" << r.out << r.err);
      CHECK(r.code == 0);
      CHECK(r.out.find("missed") == std::string::npos);
      ++presets;
    }
  CHECK(presets >= 14);
  CHECK_THAT(command("list").out, ContainsSubstring(kV3));
}

TEST_CASE("the same input gives the same bytes, on one thread and on eight", "[cli][determinism][slow]") {
  CHECK(command("run " + kV3).out == command("run " + kV3 + " --threads 8").out);
  const Result one = command("schedules " + kV3 + " --json"),
               eight = command("schedules " + kV3 + " --json --threads 8");
  CHECK(one.code == 0);
  CHECK(one.out == eight.out);
}

TEST_CASE("the schedules of V3 stand in their published order", "[cli][v3]") {
  const json rows = json::parse(command("schedules " + kV3 + " --json").out).at("schedules");
  std::map<std::string, json> by_name;
  for (const json& row : rows) by_name[row.at("schedule")] = row;
  REQUIRE(by_name.size() == 6);
  const auto bubble = [&](const char* name) {
    return by_name.at(name).at("metrics").at("phases").at("bubble_s").get<double>();
  };
  CHECK(bubble("dualpipe") < bubble("zb1p"));
  CHECK(bubble("zb1p") < bubble("one_f_one_b"));
  const auto in_flight = [&](const char* name) {
    std::int64_t most = 0;
    for (const json& rank : by_name.at(name).at("metrics").at("memory").at("by_rank"))
      most = std::max(most, rank.at("in_flight").get<std::int64_t>());
    return most;
  };
  CHECK(in_flight("one_f_one_b") == 16);
  CHECK(in_flight("zb1p") == 16);
  CHECK(in_flight("dualpipe") == 17);
}

TEST_CASE("a plan that does not fit is forecast, says what would help, and exits with 3", "[cli]") {
  const std::string tight = "run " + kV3 + " --set plan.recompute=[] ";
  const Result r = command(tight);
  CHECK(r.code == 3);
  CHECK_THAT(r.out, ContainsSubstring("does not fit"));
  CHECK_THAT(r.out, ContainsSubstring("step time"));
  CHECK(command(tight + "--allow-oom").code == 0);
  const Result as_json = command(tight + "--json");
  CHECK(as_json.code == 3);
  CHECK(json::parse(as_json.out).contains("step_time_s"));
}

TEST_CASE("overrides change what they name", "[cli][slow]") {
  const auto step = [](const std::string& more) {
    return json::parse(command("run " + kV3 + " --json " + more).out).at("step_time_s").get<double>();
  };
  const double now = step("");
  CHECK(step("--set machine=h100") < now);  // faster NVLink
  CHECK(step("--set plan.comm_sms=24") != now);
  CHECK(step("--set workload.train.global_batch=30720") > 1.5 * now);
}

TEST_CASE("explain names shape, time and source of every op", "[cli]") {
  const Result r = command("explain " + kV3 + " --layer 30");
  CHECK(r.code == 0);
  for (const char* part : {"ATTN(F)", "MLP(W)", "DISPATCH(B)", "gemm 4096x24576x1536 fp8_block", "gemm.csv"})
    CHECK_THAT(r.out, ContainsSubstring(part));
  CHECK(r.out.find(RAILCAST_SOURCE_DIR) == std::string::npos);  // the same text on every machine
}

TEST_CASE("a trace is written whole, and its slices nest", "[cli][trace]") {
  const std::string path = "/tmp/railcast_trace_" + std::to_string(getpid()) + ".json";
  CHECK(command("run " + kV3 + " --trace " + path).code == 0);
  const json trace = json::parse(slurp(path));
  CHECK(trace.at("traceEvents").size() > 10000);
  std::filesystem::remove(path);
}

TEST_CASE("help has examples", "[cli]") {
  for (const char* verb : {"", "run ", "schedules ", "tune ", "explain ", "fit ", "validate "}) {
    const Result r = command(std::string(verb) + "--help");
    CHECK(r.code == 0);
    CHECK_THAT(r.out, ContainsSubstring("Examples:"));
  }
}

TEST_CASE("every rank, op by op, gives the folded answer to the last digit", "[cli][slow]") {
  const json folded = json::parse(command("run " + kV3 + " --json").out);
  const json unfolded = json::parse(command("run " + kV3 + " --json --no-fold").out);
  CHECK(unfolded["step_time_s"] == folded["step_time_s"]);
  CHECK(unfolded["ops"].get<double>() > 80 * folded["ops"].get<double>());
}
