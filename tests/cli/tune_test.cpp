// Communication SMs and chunks, as users search them.
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

const std::string kEp64 = "scenarios/network/deepep-ep64.json";

json row(const json& tuning, std::int64_t sms) {
  for (const json& r : tuning.at("curve"))
    if (r.at("comm_sms") == sms) return r;
  return {};
}

void refused(const std::string& arguments, const std::string& says) {
  const Result r = command("tune " + arguments);
  INFO(arguments << r.err);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK_THAT(r.err, ContainsSubstring(says));
}

}  // namespace

TEST_CASE("the published 20 SMs of the V3 step are within 2 % of the best", "[cli][tune][v3][slow]") {
  const json t = json::parse(command("tune " + kV3 + " --json --threads 2").out);
  CHECK(t.at("objective") == "step_time_s");
  CHECK(row(t, 20).at("over_best").get<double>() < 0.02);
  CHECK(row(t, 24).at("over_best").get<double>() < 0.03);
  CHECK(row(t, 8).at("over_best").get<double>() > 0.03);
  const auto best = t.at("best").at("comm_sms").get<std::int64_t>();
  CHECK(row(t, best).at("over_best").get<double>() <= 0.001);
  CHECK(t.at("best").at("channels").get<std::int64_t>() == best / 2);
  CHECK(t.at("best").at("value_with_chunks_s").get<double>() <= 1.001 * t.at("best").at("value_s").get<double>());
  const json step = json::parse(command("run " + kV3 + " --json").out);
  CHECK(row(t, 20).at("step_time_s") == step.at("step_time_s"));
}

TEST_CASE("alone, the fewest SMs within 2 % of the shortest are enough", "[cli][tune][slow]") {
  const json t = json::parse(command("tune " + kEp64 + " --json").out);
  const auto enough = t.at("best").at("comm_sms").get<std::int64_t>();
  CHECK(enough >= 12);
  CHECK(enough <= 24);
  CHECK(row(t, enough).at("over_best").get<double>() <= 0.02);
  CHECK(row(t, enough - 2).at("over_best").get<double>() > 0.02);
  for (const char* op : {"dispatch", "combine"}) {
    const json& best = t.at("best").at(op);
    for (const json& c : t.at(std::string(op) + "_chunks"))
      CHECK(best.at("time_s").get<double>() <= c.at("time_s").get<double>());
  }
  CHECK(command("tune " + kEp64 + " --json").out == command("tune " + kEp64 + " --json --threads 4").out);
}

TEST_CASE("tune prints the best first, then the curve", "[cli][tune]") {
  const Result r = command("tune scenarios/network/deepep-ep8.json");
  CHECK(r.code == 0);
  for (const char* part : {"communication SMs", "channels", "over best", "fewest within 2 %", "NVLink chunk"})
    CHECK_THAT(r.out, ContainsSubstring(part));
  CHECK(r.out.find("IB chunk") == std::string::npos);  // one node
}

TEST_CASE("what has nothing to tune is refused", "[cli][tune][bad]") {
  refused("scenarios/network/deepep-ll-ep8.json", "#/workload/all_to_all/mode");
  refused(kEp64 + " --set workload.all_to_all.kernels=v2", "#/workload/all_to_all/kernels");
  refused("scenarios/train/llama-3.1-405b-512-h100-bf16.json", "#/plan/ep");
  refused("scenarios/network/a2a-1024.json", "#/workload: messages");
  refused(kV3 + " --set plan.comm_smss=3", "unknown key");
}
