#include "model/cost.hpp"

#include <algorithm>

#include "cli/load_machine.hpp"
#include "model/collective.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

Machine machine(const char* name) { return load_machine(name, std::string(RAILCAST_SOURCE_DIR) + "/scenarios"); }

double seconds(const Cost& c) { return c.total().seconds(); }

// DeepEP's test on `nodes` nodes of 8: 4096 tokens, hidden 7168, top-8 of 256, its own router.
double deepep_seconds(std::int64_t nodes, Dtype d) {
  const std::int64_t groups = nodes == 1 ? 1 : nodes;
  const Dispatch s{4096, 7168, 256, 8, 8 * nodes, groups, std::min<std::int64_t>(groups, 4), d};
  return seconds(exchange_cost(machine("h800"), s, expected_reach(s, 8, GroupScore::best), 24));
}

}  // namespace

TEST_CASE("dispatch and combine stand beside DeepEP's table", "[model][cost][collective]") {
  // README at 3b1045d (2025-04-22), H800 + CX7 400 Gb/s, 24 SMs: GB/s 153/158, 43/43, 58/57, 51/50 turned into times
  // by its own count of bytes (distinct GPUs in a node, else distinct nodes, own included).
  CHECK(deepep_seconds(1, Dtype::fp8_block) == Approx(1.05e-3).epsilon(0.03));
  CHECK(deepep_seconds(1, Dtype::bf16) == Approx(1.97e-3).epsilon(0.03));
  CHECK(deepep_seconds(4, Dtype::fp8_block) == Approx(1.88e-3).epsilon(0.03));
  CHECK(deepep_seconds(4, Dtype::bf16) == Approx(3.71e-3).epsilon(0.03));
  CHECK(deepep_seconds(8, Dtype::fp8_block) == Approx(2.37e-3).epsilon(0.03));
  CHECK(deepep_seconds(8, Dtype::bf16) == Approx(4.68e-3).epsilon(0.03));
  // EP16 is NVLink-bound here as there, and 9 % too fast: forwarding between two nodes costs more than EP8's pushes.
  CHECK(deepep_seconds(2, Dtype::fp8_block) == Approx(1.40e-3).epsilon(0.12));
}

TEST_CASE("V3's dispatch is bound by the NIC and eases below 20 SMs", "[model][cost][collective]") {
  const auto costs = roofline(machine("h800"));
  const Dispatch d{4096, 7168, 256, 8, 64, 8, 4, Dtype::fp8_block};
  const Cost at20 = costs->cost(d, 20);
  CHECK(at20.drawn(Draw::nic) > 0.95);
  CHECK(at20.drawn(Draw::nvlink) < 1);
  CHECK(at20.drawn(Draw::nvlink) > 0.3);
  CHECK(costs->cost(d, 24).work.seconds() == Approx(at20.work.seconds()).epsilon(0.02));
  CHECK(costs->cost(d, 10).work.seconds() > 1.25 * at20.work.seconds());
  CHECK(costs->cost(d, 5).work.seconds() > 1.9 * costs->cost(d, 10).work.seconds());
  const Combine c{4096, 7168, 256, 8, 64, 8, 4, Dtype::bf16};
  CHECK(costs->cost(c, 20).work.seconds() == Approx(at20.work.seconds() * 14336 / 7392).epsilon(0.03));
}

TEST_CASE("a wide NVLink domain spares the NIC", "[model][cost][collective]") {
  const Dispatch d{4096, 7168, 256, 8, 64, 8, 4, Dtype::fp8_block};
  const Cost c = roofline(machine("gb200-nvl72"))->cost(d, 20);
  CHECK(c.drawn(Draw::nic) == 0);
  CHECK(c.drawn(Draw::nvlink) > 0.4);  // its warps are too few for so fast a port
}

TEST_CASE("ring collectives move 2(n-1)/n of the vector", "[model][cost][collective]") {
  const Machine m = machine("h100");
  const auto costs = roofline(m);
  const double bytes = 512.0 * (1 << 20), rate = m.nvlink_effective.per_second();
  const auto work = [&](const Shape& s) { return costs->cost(s, 24).work.seconds(); };
  const auto size = static_cast<std::int64_t>(bytes);
  CHECK(work(AllReduce{size, 8, 8}) == Approx(2 * bytes * 7 / 8 / rate / m.nccl.in_switch));
  CHECK(work(AllGather{size, 8, 8}) == Approx(bytes * 7 / 8 / rate));
  CHECK(work(ReduceScatter{size, 8, 8}) == work(AllGather{size, 8, 8}));
  // Published, 512 MiB on 8 H100: all_gather 1.398, reduce_scatter 1.399, alltoall 1.481 ms, all_reduce 2.112 ms.
  CHECK(seconds(costs->cost(AllGather{size, 8, 8}, 24)) == Approx(1.398e-3).epsilon(0.02));
  CHECK(seconds(costs->cost(AllToAll{size, 8, 8}, 24)) == Approx(1.481e-3).epsilon(0.07));
  CHECK(seconds(costs->cost(AllReduce{size, 8, 8}, 24)) == Approx(2.112e-3).epsilon(0.05));
}

TEST_CASE("between nodes each NIC carries its share", "[model][cost][collective]") {
  const Machine m = machine("h100");
  const auto costs = roofline(m);
  const std::int64_t size = 1 << 30;
  const double nic = m.nic_effective.per_second(), bytes = 1 << 30;
  CHECK(costs->cost(AllGather{size, 64, 1}, 24).work.seconds() == Approx(bytes * 63 / 64 / nic));
  CHECK(costs->cost(AllGather{size, 64, 8}, 24).work.seconds() ==
        Approx(std::max(bytes / 8 * 7 / 8 / nic, bytes * 7 / 8 / m.nvlink_effective.per_second())));
  CHECK(costs->cost(SendRecv{size, false}, 1).work.seconds() == Approx(bytes / nic));
  CHECK(costs->cost(SendRecv{size, true}, 1).work.seconds() == Approx(bytes / m.nvlink_effective.per_second()));
}

TEST_CASE("a collective of one rank costs nothing", "[model][cost][collective]") {
  const auto costs = roofline(machine("h100"));
  CHECK(costs->cost(AllReduce{1 << 20, 1, 1}, 24).total() == Time{});
  CHECK(costs->cost(Dispatch{4096, 7168, 256, 8, 1, 8, 4, Dtype::fp8_block}, 24).total() == Time{});
}
