#include "reports/phases.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;

namespace {

constexpr double ms = 1e-3;

StepTimes times_of(const Timed& t, const Plan& plan = small_scenario().plan) {
  return step_times(t.step, t.trace, small_scenario().model, plan);
}

double sum(const Phases& p) {
  return p.forward_s + p.backward_s + p.weight_s + p.overlapped_s + p.bubble_s + p.optimizer_s;
}

const Instruction kForward{Step::forward, 0, 0}, kBackward{Step::backward, 0, 0};
const Instruction kPair{Step::overlapped, 0, 1, 1, 0};

}  // namespace

TEST_CASE("the bubble of 1F1B is (PP-1)(F+B)", "[reports][phases]") {
  const StepTimes t = times_of(one_f_one_b_step());
  CHECK(t.phases.forward_s == Approx(2 * ms));
  CHECK(t.phases.backward_s == Approx(4 * ms));
  CHECK(t.phases.bubble_s == Approx(3 * ms));
  CHECK(t.phases.weight_s + t.phases.overlapped_s + t.phases.optimizer_s == 0);
  CHECK(sum(t.phases) == Approx(9 * ms));
  CHECK(t.exposed_comm_s == Approx(0).margin(1e-15));
  CHECK(t.layer_pair_s == 0);
}

TEST_CASE("communication inside an instruction is exposed where no compute op runs", "[reports][phases]") {
  SmallStep s({{kForward}, {kForward}});
  const std::uint32_t both = s.gang({0, 1});
  s.op({0, 0, 1, Kind::attn_f}, 0, 2);
  s.op({1, 0, 1, Kind::attn_f}, 0, 3);
  s.op({both, 0, 1, Kind::dispatch_f, true}, 3, 5);  // rank 0 waits for it from 2, rank 1 from 3
  s.op({0, 0, 1, Kind::mlp_f}, 5, 6);
  s.op({1, 0, 1, Kind::mlp_f}, 5, 7);
  const StepTimes t = times_of(std::move(s).done());
  CHECK(t.phases.forward_s == Approx(6.5 * ms));
  CHECK(t.phases.bubble_s == Approx(0.5 * ms));
  CHECK(t.exposed_comm_s == Approx(2.5 * ms));
}

TEST_CASE("a rank that stands for three counts three times", "[reports][phases]") {
  SmallStep s({{kForward}, {kForward}});
  s.step().ranks[0].count = 3;
  s.op({0, 0, 1, Kind::attn_f}, 0, 2);
  s.op({1, 0, 1, Kind::attn_f}, 0, 6);
  CHECK(times_of(std::move(s).done()).phases.forward_s == Approx(3 * ms));
}

TEST_CASE("where successive spans overlap, the overlap counts for the first", "[reports][phases]") {
  SmallStep s({{kForward, kBackward}});
  s.op({0, 0, 1, Kind::attn_f}, 0, 2);
  s.op({0, 0, 1, Kind::combine_f}, 2, 4);
  s.op({0, 1, 1, Kind::attn_b}, 3, 7);
  const StepTimes t = times_of(std::move(s).done());
  CHECK(t.phases.forward_s == Approx(4 * ms));
  CHECK(t.phases.backward_s == Approx(3 * ms));
  CHECK(t.exposed_comm_s == Approx(1 * ms));
  CHECK(sum(t.phases) == Approx(7 * ms));
}

TEST_CASE("a send belongs to no span", "[reports][phases]") {
  SmallStep s({{kForward}, {kForward}});
  const std::uint32_t pair = s.gang({0, 1});
  const OpId f = s.op({0, 0, 1, Kind::attn_f}, 0, 2);
  const OpId send = s.op({pair, 0, 0, Kind::send_f, true}, 2, 5, {f});
  s.op({1, 0, 2, Kind::attn_f}, 5, 7, {send});
  const StepTimes t = times_of(std::move(s).done());
  CHECK(t.phases.forward_s == Approx(2 * ms));
  CHECK(t.phases.bubble_s == Approx(5 * ms));
}

TEST_CASE("ZeRO traffic counts where it is not hidden, and waiting for other ranks is bubble", "[reports][phases]") {
  SmallStep s({{kForward}, {kForward, kForward}});  // programs of two lengths: the gang's index is its first member's
  const std::uint32_t all = s.gang({0, 1});
  s.op({0, 0, 1, Kind::attn_f}, 0, 4);
  s.op({0, 1, 0, Kind::reduce_scatter}, 3, 5);  // 1 ms of it after the last instruction
  s.op({1, 0, 1, Kind::attn_f}, 0, 4);
  s.op({1, 1, 1, Kind::attn_f}, 4, 8);
  s.op({all, 1, 0, Kind::collective, true}, 8, 9);
  s.op({0, 1, 0, Kind::optimizer}, 9, 11);
  s.op({1, 2, 0, Kind::optimizer}, 9, 11);
  const StepTimes t = times_of(std::move(s).done());
  CHECK(t.phases.forward_s == Approx(6 * ms));
  CHECK(t.phases.optimizer_s == Approx(3.5 * ms));
  CHECK(t.phases.bubble_s == Approx(1.5 * ms));
  CHECK(t.exposed_comm_s == Approx(1.5 * ms));
}

TEST_CASE("ZeRO 3's traffic counts where no instruction hides it", "[reports][phases]") {
  SmallStep s({{kForward, kForward, kBackward}});
  s.op({0, 3, 0, Kind::all_gather}, 0, 2);
  s.op({0, 0, 1, Kind::attn_f}, 2, 4);
  s.op({0, 3, 0, Kind::reduce_scatter}, 1, 6);  // 2 of its ms between the instructions, and 1 beside the gather
  s.op({0, 3, 0, Kind::all_gather}, 6, 7);
  s.op({0, 1, 1, Kind::attn_f}, 7, 9);
  s.op({0, 2, 1, Kind::attn_b}, 10, 12);
  const Timed timed = std::move(s).done();
  Plan plan = small_scenario().plan;
  CHECK(times_of(timed, plan).phases.bubble_s == Approx(6 * ms));
  plan.zero = 3;
  const StepTimes t = times_of(timed, plan);
  CHECK(t.phases.optimizer_s == Approx(5 * ms));
  CHECK(t.phases.bubble_s == Approx(1 * ms));
  CHECK(t.exposed_comm_s == Approx(5 * ms));
}

TEST_CASE("a layer pair is the span of F&B over layers, of stages with MoE layers only", "[reports][phases]") {
  Plan plan;
  plan.pp = 2, plan.schedule = Schedule::dualpipe_v;  // rank 0: stages 0 and 3; rank 1: 1 and 2
  SmallStep s({{kForward, kPair}, {kForward, kPair}});
  s.step().stages = {{0, 1, true, false}, {1, 2, false, false}, {3, 4, false, false}, {7, 1, false, true}};
  for (std::uint32_t rank : {0U, 1U}) {
    s.op({rank, 0, 1, Kind::attn_f}, 0, 1);
    s.op({rank, 1, 1, Kind::mlp_b}, 1, 5);
    s.op({rank, 1, 1, Kind::dispatch_f}, 1, 10 + 10 * rank);
  }
  const StepTimes t = times_of(std::move(s).done(), plan);
  CHECK(t.layer_pair_s == Approx(19 * ms / 3));  // rank 1 only: 2 and 4 layers, 1 to 20 ms
  CHECK(t.phases.overlapped_s == Approx(14 * ms));
}
