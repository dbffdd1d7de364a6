#include "model/schedule.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/rank_program.hpp"

namespace railcast {

void require(bool ok, const std::string& what) {
  if (!ok) throw std::invalid_argument(what);
}

const char* name(Schedule s) {
  switch (s) {
    case Schedule::one_f_one_b:
      return "one_f_one_b";
    case Schedule::interleaved:
      return "interleaved";
    case Schedule::zb1p:
      return "zb1p";
    case Schedule::zbv:
      return "zbv";
    case Schedule::dualpipe:
      return "dualpipe";
    case Schedule::dualpipe_v:
      return "dualpipe_v";
  }
  return "?";
}

Program make_program(const Plan& p, std::int64_t n) {
  require(p.pp >= 1, "plan.pp: must be at least 1");
  require(n >= 1, "workload.train.global_batch: a pipeline needs at least one micro-batch");
  switch (p.schedule) {
    case Schedule::one_f_one_b:
      return one_f_one_b(p.pp, n);
    case Schedule::interleaved:
      return interleaved(p.pp, p.vp, p.micro_batch_group > 0 ? p.micro_batch_group : p.pp, n);
    case Schedule::zb1p:
      return zb1p(p.pp, n);
    case Schedule::zbv:
      return zbv(p.pp, n);
    case Schedule::dualpipe:
      return dualpipe(p.pp, n);
    case Schedule::dualpipe_v:
      return dualpipe_v(p.pp, n);
  }
  throw std::invalid_argument("plan.schedule: unknown");
}

std::vector<std::int64_t> peak_in_flight(const Program& p) {
  std::vector<std::int64_t> peaks;
  for (const auto& list : p) {
    std::int64_t held = 0, peak = 0;
    for (const auto& i : list) {
      held += i.step == Step::forward || i.step == Step::overlapped;
      peak = std::max(peak, held);
      held -= i.step == Step::backward || i.step == Step::weight || i.step == Step::overlapped;
    }
    peaks.push_back(peak);
  }
  return peaks;
}

std::int64_t ChunkTimes::of(Step s) const {
  switch (s) {
    case Step::forward:
      return forward;
    case Step::backward:
      return backward;
    case Step::backward_input:
      return backward_input;
    case Step::weight:
      return weight;
    case Step::overlapped:
      return overlapped;
  }
  return 0;
}

}  // namespace railcast
