#include "model/memory.hpp"

#include <algorithm>

#include "cli/load_model.hpp"
#include "model/layer.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

Scenario scenario(const std::string& model, std::int64_t nodes, std::int64_t pp, std::int64_t global_batch) {
  Scenario s;
  s.model = load_model(std::string(RAILCAST_SOURCE_DIR) + "/scenarios/models/" + model + ".json");
  s.nodes = nodes;
  s.machine.gpus_per_node = 8;
  s.machine.memory = Bytes(80e9);
  s.plan.pp = pp;
  s.plan.split = "uniform";
  s.train = {4096, global_batch};
  return s;
}

/// DeepSeek-V3's own run (arXiv 2412.19437, 3.2 and 4.2).
Scenario v3() {
  auto s = scenario("deepseek-v3", 256, 16, 15360);
  s.plan.ep = 64;
  s.plan.schedule = Schedule::dualpipe;
  s.plan.precision = Dtype::fp8_block;
  s.plan.recompute = {"rmsnorm", "mla_up", "swiglu"};
  s.plan.split = "balanced";
  return s;
}

std::vector<RankMemory> memory(const Scenario& s) {
  check_plan(s.plan, s.model, s.gpus(), s.train.global_batch);
  const auto program = make_program(s.plan, micro_batches(s.plan, s.gpus(), s.train.global_batch));
  return rank_memory(s, program, split_layers(s.model, s.plan, s.train.sequence));
}

double activation(const Scenario& s, std::int64_t layer) {
  const auto a = layer_activation(s.model, s.plan, layer, s.train.sequence);
  return a.kept_for_b + a.kept_for_w;
}

}  // namespace

TEST_CASE("the V3 run fits 80 GB, with pp+1 chunks in flight on every rank", "[model][memory]") {
  for (const char* split : {"balanced", "uniform"}) {
    auto s = v3();
    s.plan.split = split;
    const auto ranks = memory(s);
    REQUIRE(ranks.size() == 16);
    for (const auto& r : ranks) {
      CHECK(r.in_flight == 17);
      CHECK(r.peak.total() < 80e9);
      CHECK(r.peak.total() > 40e9);
      CHECK(r.peak.total() == Approx(ranks[15 - static_cast<std::size_t>(r.pp_rank)].peak.total()));
    }
    CHECK(memory_advice(s, ranks).empty());
  }
}

TEST_CASE("weights, gradients and optimizer of a dense model in one stage: 2, 4 and 8 bytes a parameter",
          "[model][memory]") {
  auto s = scenario("deepseek-llm-67b", 4, 1, 64);
  const auto n = static_cast<double>(parameters(s.model).total);
  const auto l = layer_parameters(s.model, 0);
  const auto layer = static_cast<double>(l.attention + l.mlp_dense + l.norms);
  const auto at = [&](std::int64_t zero) {
    s.plan.zero = zero;
    return memory(s)[0].peak;
  };
  CHECK(at(0).weights == Approx(2 * n));
  CHECK(at(0).gradients == Approx(4 * n));
  CHECK(at(0).optimizer == Approx(8 * n));
  CHECK(at(1).optimizer == Approx(8 * n / 32));
  CHECK(at(1).gradients == Approx(4 * n));
  CHECK(at(2).gradients == Approx(4 * n / 32 + 4 * layer));
  CHECK(at(2).weights == Approx(2 * n));
  CHECK(at(3).weights == Approx(2 * n / 32 + 2 * 2 * layer));
  s.plan.cp = 2;  // context-parallel ranks share the optimizer too
  CHECK(at(1).optimizer == Approx(8 * n / 32));
  s.plan.precision = Dtype::fp8_block;  // two orientations of a byte and a scale, but for the tables and the norms
  const double exact = n - 95 * (layer - static_cast<double>(l.norms));
  CHECK(at(1).weights == Approx(2 * (n - exact) * (1 + 4.0 / 16384) + 2 * exact));
}

TEST_CASE("experts share their optimizer over fewer ranks than the rest", "[model][memory]") {
  auto s = scenario("mixtral-8x7b", 8, 1, 256);
  s.plan.ep = 8;
  const auto total = static_cast<double>(parameters(s.model).total);
  const double experts = 32.0 * static_cast<double>(layer_parameters(s.model, 0).routed_experts);
  const auto use = memory(s)[0].peak;
  CHECK(use.gradients == Approx(4 * (total - experts + experts / 8)));
  CHECK(use.optimizer == Approx(8 * ((total - experts) / 64 + experts / 8 / 8)));
}

TEST_CASE("DualPipe holds the parameters of two stages, each shared by twice the ranks", "[model][memory]") {
  auto s = v3();
  s.model.num_nextn_predict_layers = 0;
  const auto two = memory(s);
  s.plan.schedule = Schedule::one_f_one_b;
  const auto one = memory(s);
  for (std::size_t r = 0; r < 16; ++r) {
    const auto &a = one[r].peak, &b = one[15 - r].peak;
    CHECK(two[r].peak.weights == Approx(a.weights + b.weights));
    CHECK(two[r].peak.gradients == Approx(a.gradients + b.gradients));
    CHECK(two[r].peak.optimizer == Approx((a.optimizer + b.optimizer) / 2));
  }
}

TEST_CASE("1F1B's activations: pp-r micro-batches of the stage on rank r", "[model][memory]") {
  const auto s = scenario("deepseek-llm-67b", 1, 4, 32);  // 24, 24, 24 and 23 layers
  const auto ranks = memory(s);
  for (std::size_t r = 0; r < 3; ++r)
    CHECK(ranks[r].peak.activations == Approx(static_cast<double>(4 - r) * 24 * activation(s, 0)));
  const double head = logits_bytes(s.model, s.plan, 4096) + boundary_bytes(s.model, s.plan, 4096);
  CHECK(ranks[3].peak.activations == Approx(23 * activation(s, 0) + head));
}

TEST_CASE("DualPipe's overlapped pair holds both micro-batches: pp+1 of them", "[model][memory]") {
  const auto s = v3();
  const auto ranks = memory(s);
  const auto program = make_program(s.plan, 120);
  for (std::size_t r = 1; r < 15; ++r) {  // four MoE layers per stage
    CHECK(ranks[r].peak.activations == Approx(17 * 4 * activation(s, 10)));
    CHECK(program[r][ranks[r].at].step == Step::overlapped);
  }
}

TEST_CASE("a plan that does not fit says by how much, where and what would help", "[model][memory]") {
  auto s = v3();
  s.plan.recompute = {"rmsnorm", "swiglu"};
  const auto ranks = memory(s);
  const auto text = memory_advice(s, ranks);
  CHECK_THAT(text, ContainsSubstring("pipeline rank 1 (stages 1, 14) needs"));
  CHECK_THAT(text, ContainsSubstring("of 80.0 GB") && ContainsSubstring("too much"));
  CHECK_THAT(text, ContainsSubstring("it fits with \"mla_up\" added to plan.recompute ("));
  s.machine.memory = Bytes(10e9);
  CHECK_THAT(memory_advice(s, ranks), ContainsSubstring("no single change fits; the closest is"));
}
