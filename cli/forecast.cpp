#include "cli/forecast.hpp"

#include <cstdio>

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

}  // namespace

Forecast forecast(const Scenario& s, bool fold) {
  Forecast f;
  f.step = lower_train(s, fold);
  f.memory = rank_memory(s, f.step.program, f.step.stages);
  f.trace = simulate(f.step.graph);
  f.metrics = metrics(s, f.step, f.trace, f.memory);
  return f;
}

std::vector<std::string> warnings(const Scenario& s, const Forecast& f) {
  std::vector<std::string> all;
  if (s.plan.pp > 1 && s.plan.split != "list") all.push_back(split_note(s, f));
  const Stretch stretch(s, Layout(s));
  if (!stretch.none()) all.push_back(stretch.note());
  if (!f.metrics.memory.fits()) all.push_back(memory_advice(s, f.memory));
  return all;
}

}  // namespace railcast
