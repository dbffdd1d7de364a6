#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>

#include "model/memory.hpp"

namespace railcast {
namespace {

std::string gigabytes(double bytes) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f GB", bytes * 1e-9);
  return text.data();
}

const RankMemory& fullest(const std::vector<RankMemory>& ranks) {
  return *std::ranges::max_element(ranks, {}, [](const RankMemory& r) { return r.peak.total(); });
}

struct Change {
  std::string text;
  Plan plan;
};

void add_recompute(const Scenario& s, std::vector<Change>& changes) {
  for (const char* what : {"rmsnorm", "swiglu", "mla_up", "attention", "layer"}) {
    if (s.plan.recomputes(what) || s.plan.recomputes("layer")) continue;
    Change c{std::string("\"") + what + "\" added to plan.recompute", s.plan};
    c.plan.recompute.push_back(what);
    changes.push_back(c);
  }
}

/// Single changes of the plan that lower memory, the cheapest in step time first.
std::vector<Change> changes(const Scenario& s) {
  std::vector<Change> all;
  add_recompute(s, all);
  for (std::int64_t z = s.plan.zero + 1; z <= 3; ++z) {
    all.push_back({"plan.zero " + std::to_string(z), s.plan});
    all.back().plan.zero = z;
  }
  const auto scale = [&](const char* key, std::int64_t Plan::*field, std::int64_t value) {
    all.push_back({std::string("plan.") + key + " " + std::to_string(value), s.plan});
    all.back().plan.*field = value;
    all.back().plan.dp = 0;
  };
  if (s.plan.micro_batch > 1) scale("micro_batch", &Plan::micro_batch, 1);
  if (s.plan.ep > 1) scale("ep", &Plan::ep, 2 * s.plan.ep);
  scale("pp", &Plan::pp, 2 * s.plan.pp);
  if (2 * s.plan.tp <= s.machine.gpus_per_node) scale("tp", &Plan::tp, 2 * s.plan.tp);
  return all;
}

/// Peak of the fullest rank under another plan, or nothing where that plan is not legal.
double peak_with(Scenario s, const Plan& plan) {
  s.plan = plan;
  try {
    check_plan(s.plan, s.model, s.gpus(), s.train.global_batch);
    const auto program = make_program(s.plan, micro_batches(s.plan, s.gpus(), s.train.global_batch));
    return fullest(rank_memory(s, program, split_layers(s.model, s.plan, s.train.sequence))).peak.total();
  } catch (const std::invalid_argument&) {
    return -1;
  }
}

/// The changes that fit, or else the one that comes closest.
std::string remedy(const Scenario& s) {
  std::string fits, closest;
  double least = -1;
  for (const auto& c : changes(s)) {
    const double peak = peak_with(s, c.plan);
    if (peak < 0) continue;
    const auto text = c.text + " (" + gigabytes(peak) + ")";
    if (peak <= s.machine.memory.value()) fits += (fits.empty() ? "" : ", or ") + text;
    if (least < 0 || peak < least) least = peak, closest = text;
  }
  if (!fits.empty()) return "it fits with " + fits;
  return closest.empty() ? "no single change of the plan is legal" : "no single change fits; the closest is " + closest;
}

}  // namespace

std::string memory_advice(const Scenario& s, const std::vector<RankMemory>& ranks) {
  const RankMemory& worst = fullest(ranks);
  const double over = worst.peak.total() - s.machine.memory.value();
  if (over <= 0) return {};
  std::string stages;
  for (const auto id : worst.stages) stages += (stages.empty() ? "" : ", ") + std::to_string(id);
  const auto& u = worst.peak;
  return "the plan does not fit: pipeline rank " + std::to_string(worst.pp_rank) + " (stages " + stages + ") needs " +
         gigabytes(u.total()) + " of " + gigabytes(s.machine.memory.value()) + ", " + gigabytes(over) +
         " too much (weights " + gigabytes(u.weights) + ", gradients " + gigabytes(u.gradients) + ", optimizer " +
         gigabytes(u.optimizer) + ", activations " + gigabytes(u.activations) + ", communication " +
         gigabytes(u.communication) + ", workspace " + gigabytes(u.workspace) + "); " + remedy(s);
}

}  // namespace railcast
