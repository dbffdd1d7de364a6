// Scenarios of dispatch and combine alone, as users run them.
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

const std::string kEp64 = "scenarios/network/deepep-ep64.json", kLow = "scenarios/network/deepep-ll-ep64.json";

json forecast(const std::string& scenario, const std::string& more = "") {
  return json::parse(command("run " + scenario + " --json " + more).out);
}

double dispatch_s(const std::string& more) { return forecast(kEp64, more).at("dispatch_s").get<double>(); }

void refused(const std::string& arguments, const std::vector<std::string>& says) {
  const Result r = command("run " + arguments);
  INFO(arguments << r.err);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  for (const std::string& part : says) CHECK_THAT(r.err, ContainsSubstring(part));
}

}  // namespace

TEST_CASE("DeepEP's tables are forecast within 10 %, beside what is published", "[cli][all_to_all]") {
  for (const char* name :
       {"ep8", "ep16", "ep32", "ep64", "ll-ep8", "ll-ep16", "ll-ep32", "ll-ep64", "ll-ep128", "ll-ep256"}) {
    const json f = forecast("scenarios/network/deepep-" + std::string(name) + ".json");
    INFO(name << f.dump(1));
    REQUIRE(f.at("expect").size() == 2);
    for (const json& e : f.at("expect")) CHECK(e.at("met").get<bool>());
  }
  const Result r = command("run " + kEp64);
  CHECK(r.code == 0);
  for (const char* part : {"dispatch", "combine", "notify", "logical", "NIC", "published", "met", "3b1045d"})
    CHECK_THAT(r.out, ContainsSubstring(part));
}

TEST_CASE("the JSON of an all-to-all has times, logical and wire bandwidth", "[cli][all_to_all]") {
  const json f = forecast(kEp64);
  for (const char* op : {"dispatch", "combine"})
    for (const char* what : {"_s", "_logical_gb_per_s", "_nic_gb_per_s", "_nvlink_gb_per_s", "_logical_bytes"}) {
      INFO(op << what);
      CHECK(f.at(std::string(op) + what).get<double>() > 0);
    }
  CHECK(f.at("notify_s").get<double>() > 50e-6);
  CHECK(f.at("dispatch_nic_gb_per_s").get<double>() < f.at("dispatch_logical_gb_per_s").get<double>());
  CHECK(forecast(kLow).at("notify_s").get<double>() == 0);
  CHECK(forecast(kLow).at("dispatch_send_s").get<double>() > 0);
}

TEST_CASE("an all-to-all follows machine, SMs and shape", "[cli][all_to_all]") {
  const double now = dispatch_s("");
  CHECK(dispatch_s("--set plan.comm_sms=8") > 1.4 * now);
  CHECK(dispatch_s("--set plan.comm_sms=20") == Approx(now).epsilon(0.02));
  CHECK(dispatch_s("--set workload.all_to_all.tokens=8192") == Approx(2 * now).epsilon(0.03));
  CHECK(dispatch_s("--set workload.all_to_all.hidden=3584") < 0.7 * now);
  CHECK(dispatch_s("--set workload.all_to_all.top_k=4") < now);
  CHECK(dispatch_s("--set workload.all_to_all.experts=512") == Approx(now).epsilon(0.05));
  CHECK(dispatch_s("--set workload.all_to_all.dtype=bf16") > 1.8 * now);
  CHECK(dispatch_s("--set workload.all_to_all.router=v3") != now);
  CHECK(dispatch_s("--set plan.ep=32") < now);
  const std::string h100 = "--set machine=h100", ep16 = "scenarios/network/deepep-ep16.json";
  CHECK(forecast(ep16, h100).at("combine_s").get<double>() < 0.8 * forecast(ep16).at("combine_s").get<double>());
  CHECK(forecast(kLow, "--set workload.all_to_all.nvlink=false").at("dispatch_s").get<double>() >
        forecast(kLow).at("dispatch_s").get<double>());
}

TEST_CASE("bad all-to-alls are refused by key", "[cli][all_to_all][bad]") {
  const auto set = [](const std::string& what) { return kEp64 + " --set workload.all_to_all." + what; };
  refused(set("token=3"), {"#/workload/all_to_all/token: unknown key", "did you mean \"tokens\""});
  refused(set("tokens=0"), {"#/workload/all_to_all/tokens"});
  refused(set("experts=250"), {"#/workload/all_to_all/experts", "do not divide"});
  refused(set("top_k=200"), {"#/workload/all_to_all/top_k", "do not fit"});
  refused(set("top_groups=9"), {"#/workload/all_to_all/top_groups", "9 of 8 groups"});
  refused(set("groups=7"), {"#/workload/all_to_all/groups"});
  refused(set("router=v4"), {"#/workload/all_to_all/router", "v3"});
  refused(set("dtype=fp16"), {"#/workload/all_to_all/dtype"});
  refused(set("hidden=7100"), {"#/workload/all_to_all/hidden", "128"});
  refused(set("ib_chunk=200"), {"#/workload/all_to_all/ib_chunk", "ring"});
  refused(set("mode=fast"), {"#/workload/all_to_all/mode", "low_latency"});
  refused(kEp64 + " --set plan.ep=12", {"#/plan/ep", "nodes of 8"});
  refused(kEp64 + " --set plan.comm_sms=133", {"#/plan/comm_sms"});
  refused(kEp64 + " --set plan.tp=2", {"#/plan/tp: unknown key"});
  refused(kLow + " --set workload.all_to_all.ib_chunk=4", {"ib_chunk: unknown key"});
  refused(kEp64 + " --trace x.json", {"no trace"});
}
