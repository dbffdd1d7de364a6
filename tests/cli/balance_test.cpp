#include "cli/balance.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/load_scenario.hpp"
#include "tests/catch.hpp"
#include "tests/cli/command.hpp"
#include "tests/cli/npy.hpp"

using namespace railcast;
using namespace railcast::tests;
using Catch::Matchers::Contains;

namespace {

/// One layer's counts for all of V3's: every `stride`-th expert has `hot` times the others' tokens.
std::string counts_csv(const Scratch& scratch, int hot, int stride = 8) {
  std::string text;
  for (int e = 0; e < 256; ++e) text += (e > 0 ? "," : "") + std::to_string(e % stride == 0 ? 1000 * hot : 1000);
  return scratch.write("counts.csv", text + "\n");
}

nlohmann::json study_of(const std::string& arguments) {
  const Result r = command("balance " + arguments + " --json -");
  INFO(r.err);
  REQUIRE(r.code == 0);
  return nlohmann::json::parse(r.out);
}

void refused(const std::string& arguments, const std::string& says) {
  INFO(arguments);
  const Result r = command(arguments);
  CHECK(r.code == 2);
  CHECK(r.out.empty());
  CHECK_THAT(r.err, Contains(says));
}

}  // namespace

TEST_CASE("balance answers first, then shows placements, layers and GPUs", "[cli][balance]") {
  const Scratch scratch;
  const Result r = command("balance " + counts_csv(scratch, 6, 32) + " --redundant 32 --gpus 32 --layer 7");
  CHECK(r.code == 0);
  CHECK_THAT(r.out, Catch::Matchers::StartsWith("worth it: yes."));
  for (const char* part : {"break-even: ", "how often: ", "gap to bound", "straggler cost", "GPUs of layer 7"})
    CHECK_THAT(r.out, Contains(part));
}

TEST_CASE("balanced loads are not worth a move", "[cli][balance]") {
  const Scratch scratch;
  CHECK_THAT(command("balance " + counts_csv(scratch, 1)).out, Catch::Matchers::StartsWith("worth it: no."));
}

TEST_CASE("a better placement saves what the stragglers cost", "[cli][balance]") {
  const Scratch scratch;
  // All hot experts on every fourth GPU: contiguous is bad, replicas mend it.
  const auto j = study_of(counts_csv(scratch, 6, 32) + " --redundant 32 --gpus 32");
  const auto& now = j.at("placements")[0];
  const auto& then = j.at("placements")[1];
  CHECK(now.at("straggler_s").get<double>() > 0);
  CHECK(then.at("pass_s").get<double>() < now.at("pass_s").get<double>());
  CHECK(j.at("gain_s").get<double>() <= now.at("straggler_s").get<double>() * 1.05);
  CHECK(j.at("break_even_passes").get<double>() ==
        Approx(then.at("paused_s").get<double>() / (now.at("pass_s").get<double>() - then.at("pass_s").get<double>()))
            .epsilon(0.05));
  CHECK(j.at("placements")[2].at("gap").get<double>() <= then.at("gap").get<double>());
  const auto slots = then.at("layers")[0].at("physical_to_logical").get<std::vector<int>>();
  CHECK(slots.size() == 288);
  double rows = 0;
  for (const auto& rank : then.at("layers")[0].at("ranks")) rows += rank.at("rows").get<double>();
  CHECK(rows == Approx(32 * 4096 * 8));
}

TEST_CASE("windows of counts say how often to rebalance", "[cli][balance]") {
  const Scratch scratch;
  const std::string spec =
      scratch.write("r.json", R"({"generator": "drifting", "memory": 0.9, "windows": 3, "seed": 2})");
  const auto slow = study_of(spec + " --redundant 32 --window '600 s'"),
             fast = study_of(spec + " --redundant 32 --window '1 s'");
  const auto ages = slow.at("pass_by_age_s").get<std::vector<double>>();
  REQUIRE(ages.size() == 3);
  CHECK((ages[0] < ages[1] && ages[1] < ages[2]));
  CHECK(slow.at("interval_windows") == 1);
  CHECK((!fast.contains("interval_windows") || fast.at("interval_windows") >= slow.at("interval_windows")));
}

TEST_CASE("token ids give the counts they hold", "[cli][balance]") {
  const Scratch scratch;
  std::vector<std::int16_t> ids;
  for (int token = 0; token < 64; ++token)
    for (int k = 0; k < 8; ++k) ids.push_back(static_cast<std::int16_t>(k * 32 + token % 32));
  const auto j = study_of(scratch.write("ids.npy", npy("<i2", "(1, 64, 8)", ids)) + " --token-ids --gpus 32");
  const auto& layer = j.at("placements")[0].at("layers")[0];
  CHECK(layer.at("rank_imbalance").get<double>() == Approx(1));
  CHECK(layer.at("ranks")[0].at("tokens").get<double>() == Approx(32 * 4096 * 8.0 / 32));  // 8 of 32 ranks a token
}

TEST_CASE("the bias update and the training step are shown on request", "[cli][balance][slow]") {
  const Scratch scratch;
  const auto j = study_of(counts_csv(scratch, 4, 32) +
                          " --bias-steps 20 --step --scenario scenarios/train/mixtral-8x7b-64-h100.json "
                          "--set model=models/deepseek-v3.json --set plan.ep=32 --set plan.pp=1 --gpus 32");
  CHECK(j.at("bias").size() == 20);
  REQUIRE(j.at("steps").size() == 3);
  CHECK(j.at("steps")[1].at("step_time_s").get<double>() > j.at("steps")[0].at("step_time_s").get<double>());
  CHECK(j.at("steps")[2].at("step_time_s").get<double>() <= j.at("steps")[1].at("step_time_s").get<double>());
}

TEST_CASE("counts that balance cannot use are refused", "[cli][balance][bad]") {
  const Scratch scratch;
  const std::string good = counts_csv(scratch, 2);
  refused("balance /nonexistent.npy", "/nonexistent.npy: cannot be read");
  refused("balance " + scratch.write("c.txt", "1,2"), "ends in .npy, .csv or .json");
  refused("balance " + scratch.write("c1.csv", "1,2,3\n"), "has 3 experts; the model has 256");
  refused("balance " + scratch.write("c2.csv", "1,-2,3\n"), "layer 0, expert 1: -2");
  refused("balance " + scratch.write("c3.csv", "1,nan,3\n"), "layer 0, expert 1: nan");
  std::string rows;
  for (int l = 0; l < 5; ++l) rows += slurp(good);
  refused("balance " + scratch.write("c4.csv", rows), "has 5 layers; the model has 58");
  refused("balance " + good + " --redundant 31 --gpus 32", "do not divide over 32 GPUs; 32 redundant experts would");
  refused("balance " + good + " --gpus 48", "do not divide over 48");
  refused("balance " + good + " --gpus 8 --redundant 2048", "of weights per GPU, of 80");
  refused("balance " + good + " --window 10", "unit");
  refused("balance " + good + " --layer 1 --gpus 32", "has no experts; expected 3 to 60");
  refused("balance " + scratch.write("r.json", "{\"generator\": \"zipf\"}") + " --set model=models/llama-3.1-405b.json",
          "no experts");
  CHECK(command("balance").code == 2);
  CHECK(command("balance " + good + " --gpus 0").code == 2);
}

TEST_CASE("a counts file of a gigabyte is refused unread", "[cli][balance][bad]") {
  const Scratch scratch;
  for (const char* name : {"c.npy", "c.csv", "c.json"}) {
    const std::string path = scratch.write(name, "");
    std::filesystem::resize_file(path, std::uintmax_t{1} << 30);
    refused("balance " + path, "has 1073741824 bytes; expected at most 67108864");
  }
}

TEST_CASE("a training step waits for the busiest rank of a recorded routing", "[cli][routing]") {
  const Scratch scratch;
  const std::string counts = counts_csv(scratch, 3, 32);
  const std::string preset = RAILCAST_SOURCE_DIR "/scenarios/train/mixtral-8x7b-64-h100.json";
  const std::vector<std::string> v3{"model=models/deepseek-v3.json", "plan.ep=8", "plan.pp=1"};
  const auto loads = [&](const std::string& placement) {
    auto set = v3;
    set.push_back("workload.train.routing={\"file\": \"" + counts + "\", \"placement\": \"" + placement + "\"}");
    return load_scenario(preset, set).train.expert_loads;
  };
  const auto as_is = loads("contiguous"), balanced = loads("eplb");
  REQUIRE(as_is.size() == 62);
  CHECK(as_is[2].rows.empty());
  REQUIRE(as_is[3].rows.size() == 8);
  CHECK(as_is[61].rows == as_is[3].rows);  // MTP
  CHECK(balanced[3].most_rows() <= as_is[3].most_rows());
  const std::string run =
      "run " + preset + " --set model=models/deepseek-v3.json --set plan.pp=1 --set plan.ep=8 --set ";
  refused(run + "'workload.train.routing={\"file\": \"" + counts + "\", \"placement\": \"best\"}'",
          "/workload/train/routing/placement");
  refused(run + "'workload.train.routing={}'", "/workload/train/routing: expected one of");
  refused(run + "'workload.train.routing={\"generator\": \"zipf\"}' --set plan.ep=7", "do not divide over 7");
}
