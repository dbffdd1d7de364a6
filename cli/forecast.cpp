#include "cli/forecast.hpp"

#include <algorithm>
#include <cstdio>

#include "reports/format.hpp"

#include "model/retime.hpp"
#include "model/stretch.hpp"

namespace railcast {
namespace {

std::string seconds(double s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", s);
  return text;
}

// The layer split is a choice that reports seldom publish: the step under both usual ones shows what hangs on it.
std::string split_note(const Scenario& s, const Forecast& f) {
  Scenario other = s;
  other.plan.split = s.plan.split == "balanced" ? "uniform" : "balanced";
  try {
    return "layer split assumed: " + s.plan.split + " " + seconds(f.metrics.step_time_s) + ", " + other.plan.split +
           " " + seconds(forecast(other).metrics.step_time_s) + " a step";
  } catch (const BadInput&) {
    return "layer split assumed: " + s.plan.split;
  }
}

// What the loads cost over balanced routing.
std::string straggler_note(const Scenario& s, const Forecast& f) {
  Scenario balanced = s;
  balanced.train.expert_loads.clear(), balanced.train.expert_imbalance = 1;
  double sum = 0, worst = 0, layers = 0;
  for (const LayerLoad& l : s.train.expert_loads)
    if (!l.rows.empty()) sum += l.most_rows(), worst = std::max(worst, l.most_rows()), ++layers;
  const double even = forecast(balanced).metrics.step_time_s, cost = f.metrics.step_time_s - even;
  return "expert loads (" + s.train.routing + "): busiest rank " + significant(sum / layers, 4) +
         " times the mean, worst layer " + significant(worst, 4) + "; stragglers cost " + seconds(cost) +
         " over balanced routing's " + seconds(even) + "; `railcast balance` shows ranks and placements";
}

// Tables that are no shape's: without them a figure stands on less, and says so.
void add_missing_tables(const Machine& m, std::vector<std::string>& all) {
  if (m.calibration.empty()) return;
  if (m.steady_ratio == 1)
    all.push_back(
        "no steady.csv: GEMMs are assumed to run on as in rows of a tenth of a second, before the power cap bites");
  if (m.repeat_spread == 0) all.push_back("no repeat.csv: measured rows are assumed to spread as interpolated ones");
  if (m.copy_rate.empty()) all.push_back("no copy.csv: a quarter of the SMs is assumed to fill the memory");
}

}  // namespace

Forecast forecast(const Scenario& s, bool fold) {
  Forecast f;
  f.step = lower_train(s, fold);
  f.memory = rank_memory(s, f.step.program, f.step.stages);
  f.trace = simulate(f.step.graph);
  f.metrics = metrics(s, f.step, f.trace, f.memory);
  return f;
}

void add_interval(Forecast& f) {
  constexpr std::size_t kLarge = 300'000;  // ops: fewer samples keep it to seconds
  const Interval i = step_interval(f.step, f.trace.makespan, f.step.graph.ops.size() > kLarge ? 8 : 32);
  f.metrics.step_low_s = i.low, f.metrics.step_high_s = i.high;
}

// With every rank's own load a step has millions of ops: how far it may be off, relatively, is taken from the folded
// step in which every rank has the busiest one's load.
void add_interval(const Scenario& s, Forecast& f) {
  if (s.train.expert_loads.empty()) return add_interval(f);
  Scenario alike = s;
  double sum = 0, layers = 0;
  for (const LayerLoad& l : s.train.expert_loads)
    if (!l.rows.empty()) sum += l.most_rows(), ++layers;
  alike.train.expert_loads.clear(), alike.train.expert_imbalance = sum / layers;
  Forecast folded = forecast(alike);
  add_interval(folded);
  const double ratio = f.metrics.step_time_s / folded.metrics.step_time_s;
  f.metrics.step_low_s = ratio * folded.metrics.step_low_s, f.metrics.step_high_s = ratio * folded.metrics.step_high_s;
}

std::vector<std::string> warnings(const Scenario& s, const Forecast& f) {
  std::vector<std::string> all;
  if (!s.train.expert_loads.empty()) all.push_back(straggler_note(s, f));
  if (s.plan.pp > 1 && s.plan.split != "list" && s.train.expert_loads.empty()) all.push_back(split_note(s, f));
  const Stretch stretch(s, Layout(s));
  if (!stretch.none()) all.push_back(stretch.note());
  add_missing_tables(s.machine, all);
  if (!f.metrics.memory.fits()) all.push_back(memory_advice(s, f.memory));
  return all;
}

}  // namespace railcast
