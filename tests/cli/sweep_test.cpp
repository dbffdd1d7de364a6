// What-ifs from the command line: one key each, over network and training scenarios alike.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

const std::string kTwoJobs = "scenarios/network/two-jobs.json";

/// The metric of each row of `sweep SCENARIO --set SETTING`.
std::vector<double> swept(const std::string& scenario, const std::string& setting, const std::string& metric,
                          const std::string& more = "") {
  const Result r = command("sweep " + scenario + " --set '" + setting + "' --metric " + metric + " --json " + more);
  INFO(r.err);
  REQUIRE(r.code == 0);
  std::vector<double> values;
  const json rows = json::parse(r.out).at("rows");
  for (const json& row : rows) values.push_back(row.at(metric).get<double>());
  return values;
}

void falls(const std::vector<double>& v) {
  for (std::size_t i = 1; i < v.size(); ++i) CHECK(v[i] <= v[i - 1]);
  CHECK(v.back() < v.front());
}

void rises(std::vector<double> v) {
  std::ranges::reverse(v);
  falls(v);
}

}  // namespace

TEST_CASE("what-ifs on a training step go the way they must", "[cli][sweep]") {
  falls(swept(kV3, "machine.nic=200 Gb/s,400 Gb/s,800 Gb/s", "step_time_s"));
  falls(swept(kV3, "machine.nvlink=200 GB/s,450 GB/s,900 GB/s", "step_time_s"));
  rises(swept(kV3, "fabric.dead_nics=[],[5]", "step_time_s"));
  rises(swept(kV3, "fabric.slow_gpus=[],[5]", "step_time_s"));
  rises(swept(kV3, "fabric.cut_rails=[],[3]", "step_time_s"));
  // Leaves of two nodes: EP64's exchanges cross them.
  rises(swept(kV3, "fabric.oversubscription=1,2,4", "step_time_s", "--set fabric.nodes_per_leaf=2"));
  rises(swept(kV3, "fabric.background=0 %,50 %", "step_time_s", "--set fabric.nodes_per_leaf=2"));
}

TEST_CASE("what-ifs on an exchange go the way they must", "[cli][sweep]") {
  falls(swept(kTwoJobs, "machine.nic=200 Gb/s,400 Gb/s,800 Gb/s", "makespan_s"));
  rises(swept(kTwoJobs, "fabric.oversubscription=1,2,4", "makespan_s"));
  rises(swept(kTwoJobs, "fabric.dead_nics=[],[600]", "makespan_s"));
  falls(swept(kTwoJobs, "machine.nvlink=200 MB/s,200 GB/s,900 GB/s", "makespan_s"));
  rises(swept(kTwoJobs, "fabric.slow_gpus=[],[600]", "makespan_s", "--set 'machine.nvlink=200 MB/s'"));
}

TEST_CASE("what-ifs on dispatch and combine alone go the way they must", "[cli][sweep]") {
  for (const std::string scenario : {"scenarios/network/deepep-ep64.json", "scenarios/network/deepep-ll-ep64.json"})
    for (const char* metric : {"dispatch_s", "combine_s"}) {
      falls(swept(scenario, "machine.nic=200 Gb/s,400 Gb/s,800 Gb/s", metric));
      rises(swept(scenario, "fabric.dead_nics=[],[5]", metric));
      rises(swept(scenario, "fabric.oversubscription=1,2,4", metric, "--set fabric.nodes_per_leaf=2"));
    }
}

TEST_CASE("a sweep is the runs that it stands for, on any number of threads", "[cli][sweep][determinism][slow]") {
  const std::string sweep = "sweep " + kV3 + " --set 'machine.nic=200 Gb/s,400 Gb/s' --set plan.comm_sms=16,20";
  const Result one = command(sweep + " --json"), four = command(sweep + " --json --threads 4");
  CHECK(one.code == 0);
  CHECK(one.out == four.out);
  const json rows = json::parse(one.out).at("rows");
  REQUIRE(rows.size() == 4);
  const json run =
      json::parse(command("run " + kV3 + " --set 'machine.nic=200 Gb/s' --set plan.comm_sms=20 --json").out);
  CHECK(rows[1].at("step_time_s") == run.at("step_time_s"));
  CHECK(rows[1].at("set").at("plan.comm_sms") == "20");
  CHECK_THAT(command(sweep).out, ContainsSubstring("machine.nic") && ContainsSubstring("200 Gb/s"));
  CHECK_THAT(command("sweep " + kTwoJobs + " --set fabric.oversubscription=1,2").out, ContainsSubstring("leaf 16 up"));
}

TEST_CASE("a changed peak takes what kernels reach of it along", "[cli][machine][slow]") {
  const auto step = [](const std::string& set) {
    return json::parse(command("run " + kV3 + " --json " + set).out).at("step_time_s").get<double>();
  };
  // 43.7 of 50 GB/s is 87.4 of 100.
  CHECK(step("--set 'machine.nic=800 Gb/s'") ==
        step("--set 'machine.nic=800 Gb/s' --set 'machine.nic_effective=87.4 GB/s'"));
  CHECK(step("--set machine.name=h800") == step(""));
  CHECK(step("--set 'machine.hbm=6.7 TB/s'") < step(""));
}

TEST_CASE("an impossible machine or fabric is refused by its key", "[cli][bad]") {
  const auto refused = [](const std::string& arguments, const std::vector<std::string>& says) {
    const Result r = command(arguments);
    INFO(arguments << "\n" << r.err);
    CHECK(r.code == 2);
    CHECK(r.out.empty());
    for (const std::string& part : says) CHECK_THAT(r.err, ContainsSubstring(part));
  };
  for (const std::string& s : {kV3, std::string("scenarios/network/a2a-1024.json")}) {
    const std::string run = "run " + s + " --set ";
    refused(run + "fabric.oversubscription=0", {s + "#/fabric/oversubscription", "positive"});
    refused(run + "fabric.dead_nics=[99999]", {s + "#/fabric/dead_nics", "there is no GPU 99999"});
    refused(run + "fabric.dead_nics=[0,1,2,3,4,5,6,7]", {"#/fabric/dead_nics", "node 0 has no NIC left"});
    refused(run + "fabric.cut_rails=[0,1,2,3,4,5,6,7]", {"#/fabric/cut_rails", "cannot be reached"});
    refused(run + "fabric.slow_gpu_share=0.8", {"#/fabric/slow_gpu_share", "unit"});
    refused(run + "'fabric.slow_gpu_share=0 %'", {"#/fabric/slow_gpu_share"});
    refused(run + "'fabric.background=100 %'", {"#/fabric/background"});
    refused(run + "fabric.gpus_per_nic=3", {"#/fabric/gpus_per_nic", "divisor"});
    refused(run + "fabric.nodes_per_pod=33", {"#/fabric/nodes_per_pod", "multiple of nodes_per_leaf"});
    refused(run + "fabric.oversubscribtion=2", {"#/fabric/oversubscribtion", "did you mean \"oversubscription\""});
    refused(run + "machine.nic=400", {s + "#/machine/nic", "unit"});
    refused(run + "'machine.nic=0 Gb/s'", {s + "#/machine/nic", "positive"});
    refused(run + "'machine.nicc=400 Gb/s'", {s + "#/machine/nicc", "did you mean"});
    refused(run + "machine.fabric.wiring=tree", {s + "#/machine/fabric", "--set fabric."});
    refused(run + "machine.name=h8000", {s + "#/machine", "no machine \"h8000\""});
  }
  refused("sweep " + kV3, {"nothing to sweep over"});
  refused("sweep " + kV3 + " --set plan.ep=", {"empty value"});
  refused("sweep " + kV3 + " --set plan.ep=8,16 --metric step_time", {"did you mean \"step_time_s\""});
  refused("sweep " + kV3 + " --set fabric.oversubscription=1,0", {"#/fabric/oversubscription"});
}
