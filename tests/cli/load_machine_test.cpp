#include "cli/load_machine.hpp"

#include "model/scenario.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string kScenarios = std::string(RAILCAST_SOURCE_DIR) + "/scenarios";

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// h100's machine.json with one piece of text replaced.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = read(kScenarios + "/machines/h100/machine.json");
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

Machine load_changed(const std::string& from, const std::string& to) {
  const Scratch s;
  return load_machine(s.write("mine/machine.json", changed(from, to)), kScenarios);
}

}  // namespace

TEST_CASE("every machine loads with a source for each number", "[cli][machine]") {
  for (const char* name : {"h800", "h100", "h200", "b200", "gb200-nvl72", "h20"}) {
    INFO(name);
    const Machine m = load_machine(name, kScenarios);
    CHECK(m.name == name);
    CHECK(m.sources.size() >= 15);
    for (const auto& [key, source] : m.sources) CHECK_FALSE(source.empty());
    CHECK_FALSE(m.copy_rate.empty());
    CHECK(m.calibrated_on.sms == 132);
    CHECK(m.impl.at("gemm") == "DeepGEMM");
  }
}

TEST_CASE("h800 computes as h100 and has its own NVLink", "[cli][machine]") {
  const Machine h800 = load_machine("h800", kScenarios), h100 = load_machine("h100", kScenarios);
  CHECK(h800.same_chip);
  CHECK(h800.calibration == h100.calibration);
  CHECK(h800.bf16_peak.per_second() == Approx(989.5e12));
  CHECK(h800.nvlink.per_second() == Approx(200e9));
  CHECK(h800.nic.per_second() == Approx(50e9));
  CHECK(h100.nvlink.per_second() == Approx(450e9));
  CHECK_FALSE(load_machine("h200", kScenarios).same_chip);
}

TEST_CASE("an unknown machine names the near miss", "[cli][machine]") {
  CHECK_THROWS_WITH(load_machine("h80", kScenarios),
                    ContainsSubstring("b200, gb200-nvl72, h100, h20, h200, h800") && ContainsSubstring("did you mean"));
  CHECK_THROWS_WITH(load_machine("./nowhere", kScenarios), ContainsSubstring("no such machine"));
}

TEST_CASE("a machine of one's own may stand anywhere", "[cli][machine]") {
  CHECK(load_changed("\"name\": \"h100\"", "\"name\": \"mine\"").name == "mine");
  const Scratch s;
  s.write("a/machine.json", read(kScenarios + "/machines/h200/machine.json"));
  CHECK(load_machine(s.path() + "/a", kScenarios).calibrated_on.sms == 132);  // h100 from the scenarios folder
}

TEST_CASE("bad machine files are refused with their pointer", "[cli][machine]") {
  const auto refused = [](const char* from, const char* to, const char* message) {
    CHECK_THROWS_WITH(load_changed(from, to), ContainsSubstring(message));
  };
  refused("\"450 GB/s\"", "\"450 Gbps\"", "#/nvlink/value: \"450 Gbps\" has an unknown unit \"Gbps\"");
  refused("\"450 GB/s\"", "450", "#/nvlink/value: \"450\" has no unit");
  refused("\"450 GB/s\"", "\"0 GB/s\"", "#/nvlink/value: is zero");
  refused("\"450 GB/s\"", "\"100 GB/s\"", "#/nvlink_effective: is above the peak");
  refused("\"450 GB/s\"", "\"-450 GB/s\"", "is negative");
  refused("\"450 GB/s\"", "\"450 TFLOP/s\"", "another kind");
  refused("\"nvlink\"", "\"nvlinc\"", "the key \"nvlink\" is missing; did you mean");
  refused("\"name\"", "\"colour\": 1, \"name\"", "#/colour: unknown key");
  refused("\"gemm/bf16\"", "\"gem/bf16\"", "#/impl/gem~1bf16: \"gem\" is no shape; did you mean \"gemm\"?");
  refused("\"value\": 132", "\"value\": \"132\"", "#/sms/value: expected a whole number");
  refused("\"name\"",
          "\"compute_from\": {\"value\": \"h1000\", \"source\": \"\"}, \"same_chip\": {\"value\": true, \"source\": "
          "\"\"}, \"name\"",
          "#/compute_from: ");
}
