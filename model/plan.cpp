#include "model/plan.hpp"

#include <algorithm>

namespace railcast {
namespace {

bool two_chunks(const Plan& p) { return p.schedule == Schedule::zbv || p.schedule == Schedule::dualpipe_v; }

}  // namespace

bool Plan::recomputes(const std::string& what) const { return std::ranges::find(recompute, what) != recompute.end(); }

std::int64_t stages(const Plan& p) {
  if (two_chunks(p)) return 2 * p.pp;
  return p.schedule == Schedule::interleaved ? p.pp * p.vp : p.pp;
}

std::vector<std::int64_t> stages_of(const Plan& p, std::int64_t r) {
  if (two_chunks(p)) return {r, 2 * p.pp - 1 - r};
  if (p.schedule == Schedule::dualpipe) return {r, p.pp - 1 - r};
  std::vector<std::int64_t> held{r};
  while (p.schedule == Schedule::interleaved && std::ssize(held) < p.vp) held.push_back(held.back() + p.pp);
  return held;
}

std::int64_t dp(const Plan& p, std::int64_t gpus) { return p.dp > 0 ? p.dp : gpus / (p.tp * p.cp * p.pp); }

std::int64_t expert_dp(const Plan& p, std::int64_t gpus) { return p.tp * p.cp * dp(p, gpus) / (p.ep * p.etp); }

std::int64_t micro_batches(const Plan& p, std::int64_t gpus, std::int64_t global_batch) {
  return global_batch / (dp(p, gpus) * p.micro_batch);
}

}  // namespace railcast
