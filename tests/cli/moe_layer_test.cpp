// Scenarios of one MoE layer and of our own exchange, as users run them.
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

const std::string kLayer = "scenarios/layer/v3-moe-8-virtual-1-h100.json",
                  kLow = "scenarios/network/deepep-ll-ep8.json", kNormal = "scenarios/network/deepep-ep8.json";

json forecast(const std::string& arguments) { return json::parse(command("run " + arguments + " --json -").out); }

/// What `run` says where it refuses; nothing where it does not.
std::string complaint(const std::string& arguments) {
  const Result r = command("run " + arguments);
  return r.code == 2 && r.out.empty() ? r.err : "";
}

}  // namespace

TEST_CASE("a MoE layer's forecast stands beside its measured time", "[cli][moe_layer]") {
  const json f = forecast(kLayer);
  REQUIRE(f.at("expect").size() == 2);
  for (const json& e : f.at("expect")) CHECK(e.at("met").get<bool>());
  double sum = 0;
  for (const json& k : f.at("kernels")) sum += k.at("times").get<double>() * k.at("each_s").get<double>();
  CHECK(sum == Approx(f.at("forward_backward_s").get<double>()));
  CHECK(f.at("forward_s").get<double>() + f.at("backward_s").get<double>() == Approx(sum));
  const Result r = command("run " + kLayer);
  for (const char* part : {"forward", "swiglu.backward", "combine", "measured", "met"})
    CHECK_THAT(r.out, ContainsSubstring(part));
}

TEST_CASE("a MoE layer that cannot be is refused where it says so", "[cli][moe_layer]") {
  CHECK_THAT(complaint(kLayer + " --set plan.gpus=3"), ContainsSubstring("/plan/gpus") && ContainsSubstring("8 ranks"));
  CHECK_THAT(complaint(kLayer + " --set workload.moe_layer.hidden=7000"),
             ContainsSubstring("/workload/moe_layer/hidden") && ContainsSubstring("128"));
  CHECK_THAT(complaint(kLayer + " --set workload.moe_layer.experts=60"),
             ContainsSubstring("/workload/moe_layer/experts") && ContainsSubstring("plan.ep"));
  CHECK_THAT(complaint(kLayer + " --set workload.moe_layer.top_k=32 --set workload.moe_layer.top_groups=2"),
             ContainsSubstring("top_k"));
  CHECK_THAT(complaint(kLayer + " --set workload.moe_layer.inner=2"), ContainsSubstring("/workload/moe_layer/inner"));
  CHECK_THAT(complaint(kLayer + " --set workload.moe_layer.tokenz=2"),
             ContainsSubstring("tokenz") && ContainsSubstring("tokens"));
}

TEST_CASE("our own exchange is a transport of its own", "[cli][all_to_all]") {
  const std::string own =
      " --set machine=h100 --set workload.all_to_all.kernels=railcast --set plan.ep=2 --set expect=[]";
  const json low = forecast(kLow + own), normal = forecast(kNormal + own);
  CHECK(low.at("dispatch_s").get<double>() == Approx(29.2e-6).epsilon(0.1));
  CHECK(normal.at("notify_s").get<double>() == 0);
  CHECK(normal.at("dispatch_bound_by") == "NVLink");
  const json one = forecast(kNormal + own + " --set plan.ep=8 --set plan.gpus=1");
  CHECK(one.at("dispatch_nvlink_bytes").get<double>() == 0);
  CHECK(one.at("dispatch_s").get<double>() > 5 * normal.at("dispatch_s").get<double>());
  CHECK_THAT(command("run " + kLow + own).out, ContainsSubstring("railcast's own kernels"));
  CHECK_THAT(complaint(kNormal + " --set plan.gpus=4"),
             ContainsSubstring("/workload/all_to_all/kernels") && ContainsSubstring("railcast"));
  CHECK_THAT(complaint(kNormal + own + " --set plan.gpus=3"), ContainsSubstring("/plan/gpus"));
  CHECK_THAT(complaint("scenarios/network/deepep-ep16.json --set workload.all_to_all.kernels=railcast"),
             ContainsSubstring("node of 8"));
  CHECK(command("tune " + kNormal + own).code == 2);
}
