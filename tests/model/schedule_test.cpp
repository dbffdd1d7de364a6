#include "model/schedule.hpp"

#include <rapidcheck.h>

#include <algorithm>
#include <stdexcept>

#include "tests/catch.hpp"

using namespace railcast;

namespace {

Plan plan(Schedule s, std::int64_t pp, std::int64_t vp = 1) {
  Plan p;
  p.schedule = s;
  p.pp = pp;
  p.vp = vp;
  return p;
}

ProgramRun run(const Plan& p, std::int64_t n, const ChunkTimes& t = {}) {
  return run_program(p, make_program(p, n), n, t);
}

/// Idle time of a rank in the step.
std::int64_t bubble(const ProgramRun& r, std::size_t rank = 0) { return r.makespan - r.busy.at(rank); }

std::int64_t peak(const Plan& p, std::int64_t n) { return std::ranges::max(peak_in_flight(make_program(p, n))); }

}  // namespace

TEST_CASE("1F1B idles (pp-1)(F+B), whatever the times", "[model][schedule]") {
  for (const std::int64_t pp : {1, 2, 4, 7, 16})
    for (const std::int64_t n : {pp, 2 * pp, 5 * pp + 3})
      for (const ChunkTimes t : {ChunkTimes{1, 2}, ChunkTimes{3, 5}, ChunkTimes{4, 4}})
        for (std::size_t r = 0; r < static_cast<std::size_t>(pp); ++r)
          CHECK(bubble(run(plan(Schedule::one_f_one_b, pp), n, t), r) == (pp - 1) * (t.forward + t.backward));
}

TEST_CASE("interleaving divides 1F1B's bubble by vp: (pp-1)(F+B) of a chunk", "[model][schedule]") {
  for (const std::int64_t pp : {2, 4, 8})
    for (const std::int64_t vp : {2, 3, 4})
      for (const std::int64_t n : {pp, 2 * pp, 7 * pp})
        for (const ChunkTimes t : {ChunkTimes{1, 2}, ChunkTimes{3, 5}})
          CHECK(bubble(run(plan(Schedule::interleaved, pp, vp), n, t)) == (pp - 1) * (t.forward + t.backward));
}

TEST_CASE("interleaving goes group by group through the chunks", "[model][schedule]") {
  const auto first = interleaved(2, 2, 3, 6)[1];  // rank 1: 3 forwards of warm-up, then one and one
  const std::vector<Instruction> expected{{Step::forward, 0, 0},  {Step::forward, 0, 1},  {Step::forward, 0, 2},
                                          {Step::forward, 1, 0},  {Step::backward, 1, 0}, {Step::forward, 1, 1},
                                          {Step::backward, 1, 1}, {Step::forward, 1, 2},  {Step::backward, 1, 2},
                                          {Step::forward, 0, 3},  {Step::backward, 0, 0}};
  CHECK(std::vector<Instruction>(first.begin(), first.begin() + 11) == expected);
}

TEST_CASE("ZB1P idles (pp-1)(F+B-2W) in balanced chunks", "[model][schedule]") {
  for (const std::int64_t pp : {2, 4, 8, 16})
    for (const std::int64_t n : {2 * pp, 2 * pp + 1, 5 * pp})
      for (const std::int64_t u : {1, 3}) {
        const ChunkTimes t{u, 2 * u, u, u, 3 * u};
        CHECK(bubble(run(plan(Schedule::zb1p, pp), n, t)) == (pp - 1) * (t.forward + t.backward - 2 * t.weight));
      }
}

TEST_CASE("ZBV's ranks never wait between their first and last instruction", "[model][schedule]") {
  for (const std::int64_t pp : {2, 4, 8, 16})
    for (const std::int64_t n : {2 * pp, 3 * pp + 1, 8 * pp}) {
      const auto r = run(plan(Schedule::zbv, pp), n);
      for (std::size_t i = 0; i < r.busy.size(); ++i) CHECK(r.end[i] - r.start[i] == r.busy[i]);
      CHECK(r.makespan == 6 * n + pp - 1);  // the last rank's first input is pp-1 chunks away
    }
}

TEST_CASE("DualPipe idles (pp/2-1)(F&B+B-3W), DualPipeV (stages/2-1) of the same", "[model][schedule]") {
  for (const std::int64_t pp : {2, 4, 8, 16})
    for (const std::int64_t n : {2 * pp, 3 * pp, 8 * pp + 2})
      for (const std::int64_t u : {1, 2}) {
        const ChunkTimes t{u, 2 * u, u, u, 3 * u};
        const auto unit = t.overlapped + t.backward - 3 * t.weight;
        CHECK(bubble(run(plan(Schedule::dualpipe, pp), n, t)) == (pp / 2 - 1) * unit);
        CHECK(bubble(run(plan(Schedule::dualpipe_v, pp), n, t)) == (pp - 1) * unit);
      }
}

TEST_CASE("activations in flight at the peak: pp for 1F1B and ZB1P, pp+1 for DualPipe on every rank",
          "[model][schedule]") {
  for (const std::int64_t pp : {2, 4, 8, 16}) {
    const std::int64_t n = 4 * pp;
    CHECK(peak_in_flight(one_f_one_b(pp, n)).front() == pp);
    CHECK(peak(plan(Schedule::one_f_one_b, pp), n) == pp);
    CHECK(peak(plan(Schedule::zb1p, pp), n) == pp);
    CHECK(peak(plan(Schedule::zbv, pp), n) == 2 * pp);  // of chunks half as deep
    CHECK(peak_in_flight(dualpipe(pp, n)) == std::vector<std::int64_t>(static_cast<std::size_t>(pp), pp + 1));
    CHECK(peak_in_flight(dualpipe_v(pp, n)) == std::vector<std::int64_t>(static_cast<std::size_t>(pp), 2 * pp + 1));
  }
}

TEST_CASE("DualPipe on four ranks and eight micro-batches is rank 0's list of the eight paragraphs",
          "[model][schedule]") {
  using S = Step;
  const std::vector<Instruction> expected{{S::forward, 0, 0},
                                          {S::forward, 0, 1},  // nF0
                                          {S::forward, 0, 2},
                                          {S::forward, 1, 4},  // nF0F1
                                          {S::backward_input, 1, 4},
                                          {S::weight, 1, 4},
                                          {S::forward, 1, 5},  // nB1W1F1
                                          {S::overlapped, 0, 3, 1, 5},
                                          {S::overlapped, 1, 6, 0, 0},  // nF0B1F1B0
                                          {S::backward, 1, 6},
                                          {S::overlapped, 1, 7, 0, 1},  // nB1F1B0
                                          {S::backward, 1, 7},
                                          {S::backward_input, 0, 2},  // nB1B0
                                          {S::weight, 0, 2},
                                          {S::backward_input, 0, 3},  // nWB0
                                          {S::weight, 0, 3}};         // nW
  CHECK(dualpipe(4, 8)[0] == expected);
}

TEST_CASE("every legal schedule is complete, ordered and free of deadlock", "[model][schedule][property]") {
  CHECK(rc::check("run_program accepts what make_program makes", [] {
    const auto s = *rc::gen::element(Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb1p, Schedule::zbv,
                                     Schedule::dualpipe, Schedule::dualpipe_v);
    auto p = plan(s, *rc::gen::inRange<std::int64_t>(1, 13));
    if (s == Schedule::dualpipe) p.pp += p.pp % 2;
    std::int64_t n = *rc::gen::inRange<std::int64_t>(1, 40);
    if (s == Schedule::zbv || s == Schedule::dualpipe || s == Schedule::dualpipe_v) n += 2 * p.pp;
    if (s == Schedule::dualpipe) n += n % 2;
    if (s == Schedule::interleaved) {
      p.vp = *rc::gen::inRange<std::int64_t>(2, 5);
      p.micro_batch_group = p.pp + *rc::gen::inRange<std::int64_t>(0, 4);
      n = p.micro_batch_group * (1 + n % 5);
    }
    const ChunkTimes t{*rc::gen::inRange(1, 9), *rc::gen::inRange(1, 9), *rc::gen::inRange(1, 9),
                       *rc::gen::inRange(1, 9), *rc::gen::inRange(1, 9)};
    const auto r = run(p, n, t);
    for (std::size_t i = 0; i < r.busy.size(); ++i) RC_ASSERT(r.makespan >= r.busy[i] + r.start[i]);
  }));
}

TEST_CASE("a program that is not valid is reported, not hung", "[model][schedule]") {
  using Catch::Matchers::ContainsSubstring;
  const auto p = plan(Schedule::one_f_one_b, 2);
  const Program good = make_program(p, 2);
  const auto fault = [&](const Program& bad) { run_program(p, bad, 2); };
  Program cyclic = good;
  std::swap(cyclic[0][0], cyclic[0].back());  // rank 0 waits for a gradient before it sends anything
  CHECK_THROWS_WITH(fault(cyclic),
                    ContainsSubstring("cycle") && ContainsSubstring("rank 0 at instruction 0 (backward of stage 0"));
  Program twice = good;
  twice[1].push_back(twice[1][0]);
  CHECK_THROWS_WITH(fault(twice), ContainsSubstring("forward of stage 1, micro-batch 0 on rank 1 comes a second time"));
  Program missing = good;
  missing[1].pop_back();
  CHECK_THROWS_WITH(fault(missing), ContainsSubstring("no backward of stage 1, micro-batch 1"));
  Program split = good;
  split[1].back().step = Step::backward_input;
  CHECK_THROWS_WITH(fault(split), ContainsSubstring("no weight of stage 1, micro-batch 1"));
}

TEST_CASE("a schedule says what it needs", "[model][schedule]") {
  using Catch::Matchers::ContainsSubstring;
  CHECK_THROWS_WITH(dualpipe(5, 40), ContainsSubstring("plan.pp") && ContainsSubstring("even"));
  CHECK_THROWS_WITH(dualpipe(16, 30),
                    ContainsSubstring("at least 32 micro-batches") && ContainsSubstring("there are 30"));
  CHECK_THROWS_WITH(dualpipe(4, 9), ContainsSubstring("odd"));
  CHECK_THROWS_WITH(dualpipe_v(16, 30), ContainsSubstring("at least 32"));
  CHECK_THROWS_WITH(zbv(16, 30), ContainsSubstring("at least 31"));
  CHECK_THROWS_WITH(interleaved(16, 1, 20, 120), ContainsSubstring("plan.vp"));
  CHECK_THROWS_WITH(interleaved(16, 2, 16, 120), ContainsSubstring("16 does not divide the 120 micro-batches"));
  CHECK_THROWS_WITH(interleaved(16, 2, 12, 120), ContainsSubstring("less than pp"));
  CHECK_NOTHROW(interleaved(16, 2, 20, 120));
}
