#include "model/dispatch_pipeline.hpp"

#include "cli/load_machine.hpp"
#include "model/collective.hpp"
#include "model/exchange_cost.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

Machine machine(const char* name) { return load_machine(name, std::string(RAILCAST_SOURCE_DIR) + "/scenarios"); }

Dispatch v3(std::int64_t ranks, Dtype d) { return {4096, 7168, 256, 8, ranks, 8, 4, d}; }

ExchangeTime at(const Machine& m, const Dispatch& d, bool combine, std::int64_t sms) {
  return normal_exchange(m, m.exchange,
                         {d, combine, GroupScore::top2_sum, sms, default_chunks(d.ranks, m.gpus_per_node, combine)});
}

double seconds(const Machine& m, const Dispatch& d, bool combine, std::int64_t sms) {
  return at(m, d, combine, sms).total.seconds();
}

}  // namespace

TEST_CASE("a token crosses IB once per node and NVLink once per GPU that it reaches", "[model][exchange]") {
  const Machine m = machine("h800");
  for (bool combine : {false, true}) {
    const Dispatch d = v3(64, combine ? Dtype::bf16 : Dtype::fp8_block);
    const ExchangeTime t = at(m, d, combine, 24);
    const Reach r = expected_reach(d, 8);
    const double rows = 4096 * row_bytes(7168, d.dtype);
    CHECK(t.nic_bytes == Approx(rows * r.remote_nodes).epsilon(0.02));
    CHECK(t.nvlink_bytes == Approx(rows * r.remote_gpus_in_node).epsilon(0.02));
    CHECK(t.memory_bytes == Approx(4 * rows * (r.nodes + r.gpus)).epsilon(0.02));
  }
  CHECK(at(m, v3(64, Dtype::bf16), false, 24).nic_bytes == at(m, v3(64, Dtype::bf16), true, 10).nic_bytes);
}

TEST_CASE("no exchange beats its ports", "[model][exchange]") {
  for (const char* name : {"h800", "h100", "h200", "b200"}) {
    const Machine m = machine(name);
    for (std::int64_t ranks : {2, 8, 16, 32, 64, 128})
      for (bool combine : {false, true}) {
        const ExchangeTime t = at(m, v3(ranks, Dtype::bf16), combine, 20);
        CHECK(t.total.seconds() >= t.nic_bytes / (m.exchange.nic_share * m.nic.per_second()));
        CHECK(t.total.seconds() >= t.nvlink_bytes / (m.exchange.nvlink_share * m.nvlink.per_second()));
        CHECK(t.nic <= 1);
        CHECK(t.nvlink <= 1);
        CHECK(t.warps <= 1);
      }
  }
}

TEST_CASE("faster ports and more tokens do what they must", "[model][exchange]") {
  Machine m = machine("h800");
  const Dispatch d = v3(64, Dtype::fp8_block);
  double last = 1;
  for (double gb_s : {12.5, 25.0, 50.0, 100.0}) {
    m.nic = ByteRate(gb_s * 1e9);
    const double now = seconds(m, d, false, 20);
    CHECK(now <= last * 1.001);
    last = now;
  }
  m = machine("h800");
  const Dispatch small{512, 7168, 256, 8, 64, 8, 4, Dtype::fp8_block},
      twice{1024, 7168, 256, 8, 64, 8, 4, Dtype::fp8_block};
  CHECK(seconds(m, twice, false, 20) > 1.5 * seconds(m, small, false, 20));
  CHECK(seconds(m, twice, false, 20) < 2 * seconds(m, small, false, 20));
}

TEST_CASE("beyond what is simulated tokens go on at the same rate", "[model][exchange]") {
  const Machine m = machine("h800");
  Dispatch d = v3(16, Dtype::fp8_block);
  d.tokens = 8192;
  const double t8 = seconds(m, d, false, 24);
  d.tokens = 16384;
  const double t16 = seconds(m, d, false, 24);
  CHECK(t16 == Approx(2 * t8).epsilon(0.03));
  CHECK(t16 < 2 * t8);
}

TEST_CASE("SMs bound the warps until the ports do", "[model][exchange]") {
  const Machine m = machine("h800");
  const Dispatch d = v3(64, Dtype::fp8_block);
  const ExchangeTime few = at(m, d, false, 4), many = at(m, d, false, 24);
  CHECK(few.warps > 0.95);
  CHECK(few.nic < 0.6);
  CHECK(many.nic > 0.95);
  CHECK(seconds(m, d, false, 8) == Approx(0.5 * few.total.seconds()).epsilon(0.05));
  CHECK(seconds(m, d, false, 40) == Approx(many.total.seconds()).epsilon(0.02));
  for (std::int64_t sms = 4; sms < 32; sms += 4)
    CHECK(seconds(m, d, false, sms + 4) <= 1.02 * seconds(m, d, false, sms));
}

TEST_CASE("the same exchange takes the same picoseconds", "[model][exchange]") {
  const Machine m = machine("h800");
  CHECK(at(m, v3(64, Dtype::bf16), true, 20).total == at(m, v3(64, Dtype::bf16), true, 20).total);
}

TEST_CASE("what cannot be laid out is refused", "[model][exchange]") {
  const Machine m = machine("h800");
  const auto refuse = [&](Dispatch d, std::int64_t sms, ExchangeChunks c = {8, 8, 288, 128}) {
    CHECK_THROWS_AS(normal_exchange(m, m.exchange, {d, false, GroupScore::best, sms, c}), std::invalid_argument);
  };
  refuse({4096, 7168, 264, 8, 12, 1, 1, Dtype::bf16}, 24);
  refuse({4096, 7168, 256, 8, 64, 7, 4, Dtype::bf16}, 24);
  refuse({4096, 7168, 256, 80, 64, 8, 1, Dtype::bf16}, 24);
  refuse(v3(64, Dtype::bf16), 1);
  refuse(v3(64, Dtype::bf16), 133);
  refuse(v3(64, Dtype::bf16), 24, {8, 0, 288, 128});
  refuse(v3(64, Dtype::bf16), 24, {8, 200, 288, 128});
}

TEST_CASE("a step's cost is the pipeline's time with the ports' shares", "[model][exchange]") {
  const Machine m = machine("h800");
  const Dispatch d = v3(64, Dtype::fp8_block);
  const Cost c = pipeline_cost(m, d, false, 20);
  CHECK(c.total() == at(m, d, false, 20).total);
  CHECK(c.drawn(Draw::nic) > 0.95);
  CHECK(c.drawn(Draw::nvlink) > 0.3);
  CHECK(c.drawn(Draw::hbm) > 0.1);
  CHECK(pipeline_cost(m, d, false, 1).work.seconds() == Approx(2 * pipeline_cost(m, d, false, 2).work.seconds()));
  const auto costs = remembering(roofline(m));
  Dispatch other = d;
  for (std::int64_t tokens : {1300, 4097, 5001}) {
    other.tokens = tokens;
    CHECK(costs->cost(other, 20).total().seconds() == Approx(seconds(m, other, false, 20)).epsilon(0.015));
  }
  CHECK(costs->cost(d, 20).total() == c.total());
  CHECK(costs->cost(d, 20).total() == c.total());
}
