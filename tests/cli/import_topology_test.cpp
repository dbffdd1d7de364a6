// Topology files as NCCL and nvidia-smi write them, and what is wrong with some.
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;
using railcast::Scratch;

namespace {

std::string slot(int i) { return "0000:" + std::to_string(10 + i) + ":00.0"; }

/// A <pci> with GPU i and, behind the same bridge, a NIC of `mbps`.
std::string pair_of(int i, const std::string& links, int mbps) {
  std::string nic;
  if (mbps > 0)
    nic = "<pci busid=\"0000:" + std::to_string(50 + i) + ":00.0\" class=\"0x020700\"><nic><net name=\"mlx5_" +
          std::to_string(i) + "\" dev=\"" + std::to_string(i) + "\" speed=\"" + std::to_string(mbps) +
          "\" port=\"1\" gdr=\"1\"/></nic></pci>";
  return "<pci busid=\"0000:" + std::to_string(80 + i) + ":00.0\" class=\"0x060400\"><pci busid=\"" + slot(i) +
         "\" class=\"0x030200\" link_speed=\"32.0 GT/s PCIe\" link_width=\"16\"><gpu dev=\"" + std::to_string(i) +
         "\" sm=\"90\" rank=\"" + std::to_string(i) + "\" gdr=\"1\">" + links + "</gpu></pci>" + nic + "</pci>";
}

const std::string kSwitched =
    "<nvlink target=\"0000:05:00.0\" count=\"9\" tclass=\"0x068000\"/>"
    "<nvlink target=\"0000:06:00.0\" count=\"9\" tclass=\"0x068000\"/>";

std::string node(const std::string& inside) {
  return "<system version=\"1\"><cpu numaid=\"0\" arch=\"x86_64\">" + inside + "</cpu></system>";
}

std::string hgx(int mbps = 400000) {
  std::string gpus;
  for (int i = 0; i < 8; ++i) gpus += pair_of(i, kSwitched, mbps);
  return node(gpus);
}

/// `nvidia-smi topo -m` of `n` GPUs with a NIC each; `cell` between GPUs.
std::string matrix(int n, const std::string& cell) {
  std::string text = "\t";
  for (const char* kind : {"GPU", "NIC"})
    for (int i = 0; i < n; ++i) text += "\x1b[4m" + std::string(kind) + std::to_string(i) + "\x1b[0m\t";
  text += "CPU Affinity\tNUMA Affinity\tGPU NUMA ID\n";
  for (int r = 0; r < 2 * n; ++r) {
    text += (r < n ? "GPU" : "NIC") + std::to_string(r % n);
    for (int c = 0; c < 2 * n; ++c)
      text += "\t" + (r == c ? "X" : r < n && c < n ? cell : r % n == c % n ? "PIX" : std::string("SYS"));
    text += r < n ? "\t0-47\t0\tN/A\n" : "\n";
  }
  return text + "\nLegend:\n\n  X    = Self\n  NV#  = Connection traversing a bonded set of # NVLinks\n";
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

Result imported(const std::string& text, const std::string& more = "") {
  const Scratch folder;
  return command("import-topology " + folder.write("node", text) + " " + more);
}

std::string value(const Result& r, const std::string& key) {
  const json m = json::parse(r.out);
  return m.at(key).at("value").is_string() ? m.at(key).at("value").get<std::string>() : m.at(key).at("value").dump();
}

void refused(const std::string& text, const std::string& says, const std::string& more = "") {
  const Result r = imported(text, more);
  INFO(text.substr(0, 400) << "\n" << r.err);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK_THAT(r.err, ContainsSubstring(says));
}

}  // namespace

TEST_CASE("NCCL's file of an HGX H100 gives the machine that the preset is", "[cli][topology]") {
  const Result r = imported(hgx());
  INFO(r.err);
  REQUIRE(r.code == 0);
  CHECK(value(r, "gpus_per_node") == "8");
  CHECK(value(r, "nvlink") == "450 GB/s");
  CHECK(value(r, "nvlink_effective") == "336 GB/s");
  CHECK(value(r, "nic") == "50 GB/s");
  CHECK(json::parse(r.out).at("fabric").at("gpus_per_nic") == 1);
}

TEST_CASE("what is imported can be run at once", "[cli][topology][slow]") {
  const Scratch folder;
  const Result r = imported(hgx(200000), "--name mine");
  const std::string machine = folder.write("mine/machine.json", r.out);
  const Result run = command("run " + kV3 + " --json --set machine=" + machine);
  INFO(run.err);
  CHECK(run.code == 0);
  CHECK(json::parse(run.out).at("step_time_s").get<double>() >
        json::parse(command("run " + kV3 + " --json --set machine=h100").out).at("step_time_s").get<double>());
}

TEST_CASE("nvidia-smi's matrix gives GPUs, NVLinks and NICs", "[cli][topology]") {
  const Result r = imported(matrix(8, "NV18"), "--machine h100");
  INFO(r.err);
  REQUIRE(r.code == 0);
  CHECK(value(r, "gpus_per_node") == "8");
  CHECK(value(r, "nvlink") == "450 GB/s");
  CHECK_THAT(r.err, ContainsSubstring("speed is not in the file"));
  const Result pcie = imported(matrix(4, "PHB"), "--machine h100 --link '32 GB/s'");
  CHECK(json::parse(pcie.out).at("fabric").at("inside") == "pcie");
  CHECK(value(pcie, "nvlink") == "32 GB/s");
}

TEST_CASE("two GPUs of a NIC share it", "[cli][topology]") {
  std::string gpus;
  for (int i = 0; i < 8; ++i) gpus += pair_of(i, kSwitched, i % 2 == 0 ? 400000 : 0);
  CHECK(json::parse(imported(node(gpus)).out).at("fabric").at("gpus_per_nic") == 2);
}

TEST_CASE("a topology with an unreachable GPU is refused", "[cli][topology][bad]") {
  const std::string lone = pair_of(0, kSwitched, 400000) + pair_of(1, "", 400000);
  refused(node(lone), "GPU " + slot(1) + " has no NVLink");
  refused(node(pair_of(0, "<nvlink target=\"" + slot(9) + "\" count=\"4\" tclass=\"0x030200\"/>", 0)),
          "no NVSwitch here");
  std::string chain;  // 0 - 1 - 2
  for (const auto& [i, peer] : {std::pair{0, 1}, std::pair{1, 0}, std::pair{2, 1}})
    chain += pair_of(i, "<nvlink target=\"" + slot(peer) + "\" count=\"4\" tclass=\"0x030200\"/>", 0);
  refused(node(chain), "cannot be reached from GPU");
  refused("<system><gpu dev=\"0\" sm=\"90\"/></system>", "nothing reaches it");
  refused(node("<gpu dev=\"0\" sm=\"90\"/>"), "nothing reaches it");
  refused(replaced(replaced(matrix(4, "NV18"), "NV18", "N/A"), "NV18", "N/A"), "cannot be reached");
  refused(replaced(matrix(2, "NV18"), "NV18", "SYS"), "but back it is");
}

TEST_CASE("a malformed topology is refused with what was expected", "[cli][topology][bad]") {
  refused(hgx().substr(0, 900), "not valid XML");
  refused("<graph/>", "has no <system>");
  refused("<system/>", "names no <gpu>");
  refused(replaced(hgx(), "sm=\"90\"", "sm=\"ninety\""), "sm=\"ninety\": expected a whole number");
  refused(replaced(hgx(), "count=\"9\"", "count=\"-9\""), "count=\"-9\"");
  refused(replaced(hgx(), "sm=\"90\"", "sm=\"80\""), "several kinds");
  refused(replaced(hgx(), slot(1), slot(0)), "stands twice");
  refused(hgx(), "no machine \"nowhere\"", "--machine nowhere");
  refused("", "has no row of GPU0");
  refused("GPU0 GPU1\nGPU0 X\n", "fewer than 2 cells");
  refused(matrix(4, "NV18").substr(0, 240), "cut?");
  refused(matrix(4, "NVX"), "none of NV1");
  refused(matrix(8, "NV18"), "--machine h100");
  refused(matrix(8, "SYS"), "--link", "--machine h100");
  refused(matrix(8, "NV18"), "unit", "--machine h100 --link 25");
  refused(std::string(5 << 20, ' '), "expected at most");
  CHECK(command("import-topology /nonexistent").code == 2);
}

TEST_CASE("deeply nested or repeated nodes of a topology do no harm", "[cli][topology][bad]") {
  std::string deep;
  for (int i = 0; i < 20000; ++i) deep += "<pci busid=\"a\">";
  for (int i = 0; i < 20000; ++i) deep += "</pci>";
  refused(node(deep), "nests deeper");
  std::string many;
  for (int i = 0; i < 1100; ++i) many += "<pci busid=\"" + std::to_string(i) + "\"><gpu sm=\"90\"/></pci>";
  refused(node(many), "more than 1024 GPUs");
}
