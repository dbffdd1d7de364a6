#include "model/train.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "tests/catch.hpp"
#include "tests/model/toy.hpp"

using namespace railcast;

namespace {

constexpr std::array kAll{Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb1p,
                          Schedule::zbv,         Schedule::dualpipe,    Schedule::dualpipe_v};

Scenario with(Schedule schedule) {
  Scenario s = toy_scenario();
  s.plan.schedule = schedule;
  if (schedule == Schedule::interleaved) s.plan.vp = 2;
  return s;
}

Time makespan(const Scenario& s, bool fold) { return simulate(lower_train(s, fold).graph).makespan; }

// How often each (kind, layer) is done, over all ranks; a gang counts for its members. The parts of a segment share a
// tag, and count once.
std::map<std::pair<Kind, std::uint32_t>, std::int64_t> work_done(const TrainStep& step) {
  std::map<std::pair<Kind, std::uint32_t>, std::int64_t> n;
  std::set<std::uint64_t> done;
  for (const Op& o : step.graph.ops) {
    const Tag t = unpack(o.tag);
    if (!done.insert(o.tag).second) continue;
    if (t.gang) {
      for (std::uint32_t m : step.gangs[t.who]) n[{t.kind, t.layer}] += step.ranks[m].count;
    } else {
      n[{t.kind, t.layer}] += step.ranks[t.who].count;
    }
  }
  return n;
}

}  // namespace

TEST_CASE("a tag comes back as it was packed", "[model][train]") {
  const Tag t{0xabcdef, 0xfffff, 0xfff, Kind::all_gather, true};
  const Tag u = unpack(pack(t));
  CHECK(std::tie(t.who, t.instruction, t.layer, t.kind, t.gang) ==
        std::tie(u.who, u.instruction, u.layer, u.kind, u.gang));
}

TEST_CASE("folding changes no picosecond under any schedule", "[model][train][fold]") {
  for (Schedule schedule : kAll) {
    Scenario s = with(schedule);
    INFO(name(schedule));
    CHECK(makespan(s, true) == makespan(s, false));
    CHECK(lower_train(s, true).ranks.size() == 4);
    s.plan.tp = 2, s.plan.etp = 2;
    CHECK(makespan(s, true) == makespan(s, false));
    s.plan.cp = 2, s.plan.etp = 1;
    CHECK(makespan(s, true) == makespan(s, false));
    s.plan.ep = 2;
    for (std::int64_t zero : {0, 1, 2, 3}) {
      s.plan.zero = zero;
      if (zero < 2 || schedule != Schedule::dualpipe) CHECK(makespan(s, true) == makespan(s, false));
    }
  }
}

TEST_CASE("folding leaves apart what a node boundary sets apart", "[model][train][fold]") {
  Scenario s = toy_scenario();
  s.nodes = 3, s.plan.pp = 6, s.plan.ep = 2, s.plan.schedule = Schedule::one_f_one_b;  // stages of 2 on nodes of 4
  s.train.global_batch = 16;
  CHECK(makespan(s, true) == makespan(s, false));
}

TEST_CASE("every layer is done once per micro-batch and rank, forward and backward", "[model][train]") {
  for (Schedule schedule : kAll) {
    INFO(name(schedule));
    const Scenario s = with(schedule);
    const auto n = work_done(lower_train(s, true));
    const std::int64_t each = 8 * 16;  // ranks of a stage x micro-batches
    for (std::uint32_t layer = 0; layer < 10; ++layer)
      for (Kind k : {Kind::attn_f, Kind::mlp_f, Kind::mlp_b, Kind::mlp_w, Kind::attn_b, Kind::attn_w}) {
        INFO(name(k) << " of layer " << layer);
        CHECK(n.at({k, layer}) == each);
      }
    for (Kind k : {Kind::dispatch_f, Kind::combine_f, Kind::combine_b, Kind::dispatch_b}) {
      CHECK(n.count({k, 0}) == 0);  // dense
      CHECK(n.at({k, 9}) == each);  // the MTP module's layer
    }
  }
}

TEST_CASE("an overlapped pair takes less than its halves after each other", "[model][train]") {
  const Scenario dualpipe = toy_scenario(), one = with(Schedule::one_f_one_b);
  CHECK(makespan(dualpipe, true) < makespan(one, true));
}

TEST_CASE("two lowerings are the same, op by op", "[model][train]") {
  const TrainStep a = lower_train(toy_scenario(), true), b = lower_train(toy_scenario(), true);
  REQUIRE(a.graph.ops.size() == b.graph.ops.size());
  for (std::size_t i = 0; i < a.graph.ops.size(); ++i) {
    CHECK(a.graph.ops[i].tag == b.graph.ops[i].tag);
    CHECK(a.graph.ops[i].cost == b.graph.ops[i].cost);
  }
  CHECK(a.graph.successors == b.graph.successors);
}

TEST_CASE("the step waits for the most loaded expert-parallel position", "[model][train][fold]") {
  Scenario s = toy_scenario();
  const Time even = makespan(s, true);
  s.train.expert_loads.assign(9, {{1, 1, 1, 1}, 1});
  CHECK(makespan(s, true) == even);
  s.train.expert_loads.assign(9, {{0.5, 0.5, 1, 2}, 2});
  CHECK(makespan(s, true) == makespan(s, false));
  CHECK(lower_train(s, true).ranks.size() == 16);
  const Time skewed = makespan(s, true);
  CHECK(skewed > even);
  s.train.expert_loads.clear();
  s.train.expert_imbalance = 2;  // each rank as the most loaded one: a bound
  CHECK(skewed <= makespan(s, true));
}

TEST_CASE("an impossible plan is refused with its JSON pointer", "[model][train]") {
  Scenario s = toy_scenario();
  s.plan.ep = 3;
  CHECK_THROWS_WITH(lower_train(s, true), Catch::Matchers::StartsWith("toy.json#/plan/ep: "));
  s = toy_scenario();
  s.plan.zero = 3;
  CHECK_THROWS_WITH(lower_train(s, true), Catch::Matchers::StartsWith("toy.json#/plan/zero: "));
  s = toy_scenario();
  s.train.global_batch = 8 * 4;  // 4 micro-batches
  CHECK_THROWS_AS(lower_train(s, true), BadInput);
}
