#include "model/stretch.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "tests/catch.hpp"
#include "tests/model/toy.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

constexpr std::array kAll{Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb1p,
                          Schedule::zbv,         Schedule::dualpipe,    Schedule::dualpipe_v};

/// The toy on 8 nodes of 4 GPUs; expert-parallel groups of 8 span two nodes, leaves join two.
Scenario on_fabric(const Topology& t, Schedule schedule = Schedule::one_f_one_b) {
  Scenario s = toy_scenario();
  s.plan.schedule = schedule, s.plan.ep = 8;
  if (schedule == Schedule::interleaved) s.plan.vp = 2;
  s.machine.nvlink = ByteRate(450e9), s.machine.nic = ByteRate(50e9);
  s.machine.nic_latency = Time::seconds(3.7e-6);
  s.machine.topology = t;
  s.machine.topology.nodes_per_leaf = 1;
  return s;
}

Time makespan(const Scenario& s, bool fold = true) { return simulate(lower_train(s, fold).graph).makespan; }

Topology changed(const std::function<void(Topology&)>& change) {
  Topology t;
  change(t);
  return t;
}

std::vector<Topology> faults() {
  return {changed([](Topology& t) { t.dead_nics = {5}; }),
          changed([](Topology& t) { t.slow_nics = {5}; }),
          changed([](Topology& t) { t.slow_gpus = {7}; }),
          changed([](Topology& t) { t.oversubscription = 2; }),
          changed([](Topology& t) { t.background = 0.5; }),
          changed([](Topology& t) { t.cut_rails = {1}; }),
          changed([](Topology& t) { t.gpus_per_nic = 2; }),
          changed([](Topology& t) { t.inside = Inside::pcie; }),
          changed([](Topology& t) { t.dead_nics = {0}, t.wiring = Wiring::planes; })};
}

/// Work of the ops of a kind, by the rank (of a gang: the first member's) that does it, in an unfolded step.
std::map<std::int64_t, std::set<std::int64_t>> work_by_rank(const TrainStep& step, Kind kind) {
  std::map<std::int64_t, std::set<std::int64_t>> work;
  for (const Op& o : step.graph.ops)
    if (const Tag t = unpack(o.tag); t.kind == kind)
      work[step.ranks[t.gang ? step.gangs[t.who].front() : t.who].rank].insert(step.graph.costs[o.cost].work.ps());
  return work;
}

}  // namespace

TEST_CASE("a fabric that blocks nowhere changes no op", "[model][stretch]") {
  Scenario s = on_fabric({});
  s.machine.topology.wiring = Wiring::planes;
  const TrainStep with = lower_train(s, true);
  s.machine.topology = {};
  CHECK(with.graph.costs == lower_train(s, true).graph.costs);
}

TEST_CASE("with faults on the fabric folding changes no picosecond, and the step takes longer", "[model][stretch]") {
  for (Schedule schedule : kAll) {
    const Time now = makespan(on_fabric({}, schedule));
    for (const Topology& t : faults()) {
      const Scenario s = on_fabric(t, schedule);
      INFO(name(schedule) << " fault " << &t - faults().data());
      CHECK(makespan(s, true) == makespan(s, false));
      CHECK(makespan(s) > now);
    }
  }
}

TEST_CASE("a dead NIC halves its own and its neighbour's rate, and their groups wait", "[model][stretch]") {
  const Topology dead = changed([](Topology& t) { t.dead_nics = {5}; });
  const auto before = work_by_rank(lower_train(on_fabric({}), false), Kind::dispatch_f);
  const auto after = work_by_rank(lower_train(on_fabric(dead), false), Kind::dispatch_f);
  REQUIRE(before.size() == 4);                               // a group of 8 per pipeline rank
  CHECK(*after.at(0).begin() == 2 * *before.at(0).begin());  // ranks 5 and 6 are of the first
  CHECK(after.at(8) == before.at(8));
}

TEST_CASE("a GPU at 80 % takes 1.25 times as long for its own kernels", "[model][stretch]") {
  const Topology slow = changed([](Topology& t) { t.slow_gpus = {7}; });
  const auto before = work_by_rank(lower_train(on_fabric({}), false), Kind::attn_f);
  const auto after = work_by_rank(lower_train(on_fabric(slow), false), Kind::attn_f);
  CHECK(double(*after.at(7).begin()) == Approx(1.25 * double(*before.at(7).begin())).epsilon(1e-6));
  CHECK(after.at(6) == before.at(6));
  // A toy collective holds NVLink for 60 % of its time: at half of the speed it is the longer part.
  const Topology half = changed([](Topology& t) { t.slow_gpus = {7}, t.slow_gpu_share = 0.5; });
  const auto sent = work_by_rank(lower_train(on_fabric({}), false), Kind::dispatch_f);
  const auto slowly = work_by_rank(lower_train(on_fabric(half), false), Kind::dispatch_f);
  CHECK(double(*slowly.at(0).begin()) == Approx(1.2 * double(*sent.at(0).begin())).epsilon(1e-6));
}

TEST_CASE("twice the oversubscription is twice the time of what crosses leaves", "[model][stretch]") {
  for (double o : {2.0, 4.0}) {
    const Topology t = changed([o](Topology& x) { x.oversubscription = o; });
    const auto before = work_by_rank(lower_train(on_fabric({}), false), Kind::dispatch_f);
    const auto after = work_by_rank(lower_train(on_fabric(t), false), Kind::dispatch_f);
    CHECK(double(*after.at(0).begin()) == Approx(o * double(*before.at(0).begin())).epsilon(1e-6));
  }
}

TEST_CASE("the note says what is stretched, how much and where", "[model][stretch]") {
  const auto note = [](const std::function<void(Topology&)>& change) {
    const Scenario s = on_fabric(changed(change));
    return Stretch(s, Layout(s)).note();
  };
  CHECK(note([](Topology&) {}).empty());
  CHECK_THAT(note([](Topology& t) { t.slow_gpus = {7}; }), ContainsSubstring("kernels up to 1.25 times, on 1 rank"));
  // Ranks 5 and 6 send slowly; 1 and 2 in the other node of their group wait for it.
  CHECK_THAT(note([](Topology& t) { t.dead_nics = {5}; }),
             ContainsSubstring("dispatch and combine up to 2.00 times, on 4 ranks"));
}

TEST_CASE("planes without a common rail cannot be reached", "[model][stretch]") {
  // Node 0 keeps rail 0 only, node 1 rail 1 only.
  const Topology t = changed([](Topology& x) { x.wiring = Wiring::planes, x.dead_nics = {1, 2, 3, 4, 6, 7}; });
  CHECK_THROWS_WITH(lower_train(on_fabric(t), true), ContainsSubstring("toy.json#/fabric/dead_nics: no plane joins"));
}
