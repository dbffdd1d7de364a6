// Every kind of bad input: one clear message (file, JSON pointer, what was expected) and exit code 2.
#include <unistd.h>

#include <filesystem>
#include <tuple>

#include "tests/catch.hpp"
#include "tests/cli/command.hpp"

using namespace railcast::tests;
using Catch::Matchers::ContainsSubstring;
using railcast::Scratch;

namespace {

void refused(const std::string& arguments, const std::vector<std::string>& says) {
  INFO(arguments);
  const Result r = command(arguments);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  for (const std::string& part : says) CHECK_THAT(r.err, ContainsSubstring(part));
}

/// The V3 preset with one text replaced, in a file of its own.
std::string changed(const std::string& from, const std::string& to) {
  static int n = 0;
  std::string text = slurp(RAILCAST_SOURCE_DIR "/" + kV3);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  const std::string path = "/tmp/railcast_bad_" + std::to_string(getpid()) + "_" + std::to_string(n++) + ".json";
  std::ofstream(path) << text;
  return path;
}

}  // namespace

TEST_CASE("an unknown or misspelt key is refused with a near miss", "[cli][bad]") {
  refused("run " + kV3 + " --set plan.epp=3", {kV3 + "#/plan/epp: unknown key", "did you mean"});
  refused("run " + kV3 + " --set plan.shedule=dualpipe", {"#/plan/shedule", "did you mean \"schedule\"?"});
  refused("run " + kV3 + " --set plan.schedule=dualpip", {"#/plan/schedule", "did you mean \"dualpipe\"?"});
  refused("run " + changed("\"nodes\"", "\"node\""), {"nodes"});
  refused("run " + kV3 + " --set machine=h8000", {"no machine", "h800"});
  refused("run " + kV3 + " --set model=models/deepseek-v4.json", {"/model", "no file"});
}

TEST_CASE("a quantity without its unit, or with another's, is refused", "[cli][bad]") {
  refused("run " + changed("\"19.926 s\"", "\"19.926\""), {"/expect/0/value", "unit"});
  refused("run " + changed("\"19.926 s\"", "\"19.926 GB\""), {"/expect/0/value", "GB"});
  refused("run " + changed("\"19.926 s\"", "19.926"), {"/expect/0/value"});
  refused("run " + changed("\"7.2 %\"", "\"7.2\""), {"/expect/1/within"});
}

TEST_CASE("a negative number, a NaN and a wrong type are refused", "[cli][bad]") {
  refused("run " + kV3 + " --set plan.ep=-4", {"#/plan/ep"});
  refused("run " + kV3 + " --set plan.ep=NaN", {"#/plan/ep"});
  refused("run " + kV3 + " --set plan.ep=1.5", {"#/plan/ep"});
  refused("run " + kV3 + " --set nodes=1e400", {"nodes"});
  refused("run " + kV3 + " --set workload.train.expert_imbalance=0.5", {"/workload/train/expert_imbalance"});
  refused("run " + changed("\"19.926 s\"", "\"nan s\""), {"/expect/0/value"});
  refused("run " + changed("\"19.926 s\"", "\"-1 s\""), {"/expect/0/value"});
}

TEST_CASE("an impossible plan is refused by its key", "[cli][bad]") {
  refused("run " + kV3 + " --set plan.split=[60]", {"#/plan/split"});
  refused("run " + kV3 + " --set plan.split=[4,4,4,4,4,4,4,4,4,4,4,4,4,4,4,4]", {"#/plan/split", "61"});
  refused("run " + kV3 + " --set plan.ep=48", {"#/plan/ep", "256"});
  refused("run " + kV3 + " --set nodes=100000", {"#/nodes", "at most 2048"});
  refused("run " + kV3 + " --set plan.dp=512", {"#/plan/dp"});
  refused("run " + kV3 + " --set workload.train.global_batch=2048", {"micro-batch"});
  refused("run " + kV3 + " --set workload.train.global_batch=15361", {"global batch of 15361"});
  refused("run " + kV3 + " --set plan.comm_sms=132", {"#/plan/comm_sms"});
  refused("run " + kV3 + " --set plan.zero=3", {"#/plan/zero", "DualPipe"});
}

TEST_CASE("what is not supported is refused by the model's key", "[cli][bad]") {
  const std::string folder = RAILCAST_SOURCE_DIR "/tests/data/models/";
  int refusals = 0, files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().string().find("--") == std::string::npos) continue;
    ++files;
    const Result r =
        command("run " + kV3 + " --allow-oom --set plan.split=balanced --set model='" + entry.path().string() + "'");
    INFO(entry.path() << r.err);
    if (r.code == 2 && r.err.find(entry.path().filename().string() + "#/") != std::string::npos) ++refusals;
  }
  CHECK(files == 11);
  CHECK(refusals == 6);  // gpt-oss, GLM-5, V3.2, V4-Flash, Kimi-K3, Llama-4
}

TEST_CASE("a broken, truncated or huge scenario is refused before it is read", "[cli][bad]") {
  refused("run /nonexistent.json", {"/nonexistent.json"});
  const std::string path = "/tmp/railcast_bad_" + std::to_string(getpid()) + "_text.json";
  const std::string text = slurp(RAILCAST_SOURCE_DIR "/" + kV3);
  std::ofstream(path) << text.substr(0, text.size() / 2);
  refused("run " + path, {path, "line"});
  std::ofstream(path) << "[1, 2]";
  refused("run " + path, {path});
  std::ofstream(path) << "";
  std::filesystem::resize_file(path, std::uintmax_t{1} << 30);
  refused("run " + path, {path, "expected at most"});
  std::filesystem::remove(path);
}

TEST_CASE("a bad row of a calibration table is refused with its line", "[cli][bad]") {
  const std::filesystem::path folder = "/tmp/railcast_bad_" + std::to_string(getpid()) + "_machine";
  std::filesystem::copy(RAILCAST_SOURCE_DIR "/scenarios/machines/h100", folder,
                        std::filesystem::copy_options::recursive);
  std::ofstream(folder / "calibration/gemm.csv", std::ios::app) << "4096,7168,nan,fp8_block,132,cool,DeepGEMM,1\n";
  refused("run " + kV3 + " --set machine=" + folder.string(), {"gemm.csv:", "nan"});
  std::filesystem::remove_all(folder);
}

TEST_CASE("bad constants of NCCL are refused by their key", "[cli][bad]") {
  const std::filesystem::path folder = "/tmp/railcast_bad_" + std::to_string(getpid()) + "_nccl";
  std::filesystem::copy(RAILCAST_SOURCE_DIR "/scenarios/machines/h100", folder,
                        std::filesystem::copy_options::recursive);
  const std::string path = (folder / "calibration/nccl.json").string(), text = slurp(path);
  for (const auto& [from, to, says] : {std::tuple{"5.339 us", "5.339", "#/start"},
                                       {"0.9951", "-1", "#/few: expected"},
                                       {"128.7 GB/s", "0 GB/s", "#/low_latency: is zero"},
                                       {"\"hop\"", "\"hops\"", "hop"}}) {
    std::string changed = text;
    changed.replace(changed.find(from), std::string(from).size(), to);
    std::ofstream(path) << changed;
    refused("run " + kV3 + " --set machine=" + folder.string(), {path, says});
  }
  std::filesystem::remove_all(folder);
}

TEST_CASE("an exchange's job that cannot be is refused by its key", "[cli][bad]") {
  const Scratch folder;
  const auto job = [&](const std::string& keys) {
    return "run " + folder.write("job.json", R"({"machine": "h100", "nodes": 2, "workload": {"exchange": {"jobs": [{)" +
                                                 keys + R"(, "bytes": "1 MB"}]}}})");
  };
  const std::string at = "#/workload/exchange/jobs/0";
  refused(job(R"("pattern": "all_too_all")"), {at + "/pattern", "did you mean \"all_to_all\""});
  refused(job(R"("pattern": "all_to_all_v", "gpus": 2, "counts": [[0, 1]])"), {at + "/counts", "has 1 rows"});
  refused(job(R"("pattern": "all_to_all_v", "gpus": 2, "counts": [[0, 1], [2]])"), {at + "/counts", "row 1 is [2]"});
  refused(job(R"("pattern": "all_to_all_v", "gpus": 2, "counts": [[0, 1], [-2, 0]])"), {at + "/counts", "0 or more"});
  refused(job(R"("pattern": "send_recv", "gpus": 2, "pairs": [[0, 2]])"), {at + "/pairs", "there is no GPU 2"});
  refused(job(R"("pattern": "all_reduce", "gpus": 12)"), {"unequally"});
  refused(job(R"("pattern": "all_reduce", "gpus": 17)"), {at + "/gpus", "the nodes have 16"});
  refused(job(R"("pattern": "all_to_all", "algorithm": "tree")"), {at + "/algorithm", "unknown key"});
}

TEST_CASE("an output that cannot be written leaves nothing behind", "[cli][bad]") {
  refused("run " + kV3 + " --json /nonexistent/folder/out.json", {"/nonexistent/folder/out.json"});
  refused("run " + kV3 + " --trace /nonexistent/folder/step.pftrace", {"/nonexistent/folder/step.pftrace"});
  refused("run " + kV3 + " --trace step.txt", {"step.txt", ".pftrace"});
  refused("fit validate/published/nccl_h100.csv --device h100 -o /proc/here", {"/proc/here", "cannot be made"});
  CHECK_FALSE(std::filesystem::exists("/nonexistent"));
}

TEST_CASE("a wrong command line is refused", "[cli][bad]") {
  CHECK(command("").code == 2);
  CHECK(command("forecast").code == 2);
  CHECK(command("run").code == 2);
  CHECK(command("run " + kV3 + " --set").code == 2);
  refused("run " + kV3 + " --set plan", {"KEY=VALUE"});
  refused("run " + kV3 + " --set nodes.x=3", {"no object"});
  refused("explain " + kV3 + " --layer 99", {"--layer 99", "0 to 61"});
  CHECK(command("run " + kV3 + " --threads 0").code == 2);
}
