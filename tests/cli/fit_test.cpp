#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast;
using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

TEST_CASE("fit, then validate --rows", "[cli][fit][slow]") {
  const Scratch folder;
  const std::string out = folder.path() + "/calibration";
  const Result fitted = command("fit validate/published/nccl_h100.csv --device h100 -o " + out);
  CHECK(fitted.code == 0);
  CHECK_THAT(fitted.out, ContainsSubstring("collective") && ContainsSubstring("held out"));
  const Result r =
      command("validate --calibration " + out + " --rows validate/published/nccl_h100.csv --device h100 --json");
  CHECK(r.code == 0);
  const json j = json::parse(r.out);
  CHECK(j.at("rows") == 400);
  for (const char* key : {"median_error", "p90_error", "bias", "coverage"}) CHECK(j.at(key).is_number());
  CHECK(j.at("median_error") < 0.06);
}

TEST_CASE("a bad table overwrites nothing", "[cli][fit]") {
  const Scratch folder;
  folder.write("calibration/fit.json", "as it was");
  const std::string rows = folder.write("gemm.csv", "# device: NVIDIA H100\nm,n,k,latency_ms\n64,64,64,nan\n");
  const Result r = command("fit " + rows + " --device h100 -o " + folder.path() + "/calibration");
  CHECK(r.code == 2);
  CHECK_THAT(r.err, ContainsSubstring("gemm.csv:3") && ContainsSubstring("latency_ms is nan"));
  CHECK(slurp(folder.path() + "/calibration/fit.json") == "as it was");
  CHECK(command("fit " + folder.path() + "/none -o " + folder.path() + "/calibration").code == 2);
  CHECK(command("validate --calibration " + folder.path() + "/calibration --rows " + rows).code == 2);
}

TEST_CASE("every bound of the training suite holds, and its step lies inside the interval", "[cli][validate][slow]") {
  const Result r = command("validate --suite training --json");
  CHECK(r.code == 0);
  for (const json& c : json::parse(r.out).at("cases")) {
    if (c.at("id") != "deepseek-v3-2048-h800/step_time_s") continue;
    CHECK(c.at("inside") == true);
    CHECK(c.at("truth") == 19.926);
  }
}

TEST_CASE("every bound of the other suites holds", "[cli][validate][slow]") {
  const Result network = command("validate --suite network --md"), kernels = command("validate --suite kernels --json");
  INFO(network.err << kernels.err);
  CHECK(network.code == 0);
  CHECK(kernels.code == 0);
}

TEST_CASE("a case is explained by what it rests on", "[cli][validate][slow]") {
  const Result r = command("validate --explain deepseek-v3-2048-h800/step_time_s");
  CHECK(r.code == 0);
  CHECK_THAT(r.out, ContainsSubstring("wgrad") && ContainsSubstring("calibration/wgrad.csv:"));
  CHECK(command("validate --explain nothing").code == 2);
}

TEST_CASE("a run prints its interval, and --sensitivity what the step rests on", "[cli][sensitivity]") {
  const json j = json::parse(command("run " + kV3 + " --json").out);
  CHECK(j.at("interval").at("low_s") < j.at("step_time_s"));
  CHECK(j.at("interval").at("high_s") > j.at("step_time_s"));
  const json s = json::parse(command("run " + kV3 + " --sensitivity --json").out);
  CHECK(s.at("sum").get<double>() == Approx(-1).margin(0.02));
  CHECK(s.at("bases").size() == 8);
}

TEST_CASE("without a calibration table a forecast is assumed and its interval wider", "[cli][sensitivity][slow]") {
  const auto width = [](const json& j) {
    return (j.at("interval").at("high_s").get<double>() - j.at("interval").at("low_s").get<double>()) /
           j.at("step_time_s").get<double>();
  };
  const json whole = json::parse(command("run " + kV3 + " --json").out);
  const std::string machines = std::string(RAILCAST_SOURCE_DIR) + "/scenarios/machines/";
  for (const char* stem :
       {"gemm", "wgrad", "wgrad_grouped", "attention", "grouped_gemm_contiguous", "swiglu", "quantize"}) {
    INFO(stem);
    const Scratch folder;
    for (const char* m : {"h100", "h800"})
      std::filesystem::copy(machines + m, folder.path() + "/" + m, std::filesystem::copy_options::recursive);
    std::filesystem::remove(folder.path() + "/h100/calibration/" + stem + ".csv");
    const json j =
        json::parse(command("run " + kV3 + " --set machine=" + folder.path() + "/h800/machine.json --json").out);
    CHECK(width(j) > width(whole));
    CHECK(j.at("provenance").at("assumed") > whole.at("provenance").at("assumed"));
  }
}
