#include <algorithm>
#include <iostream>

#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "cli/parallel.hpp"
#include "cli/verbs.hpp"
#include "reports/json.hpp"
#include "reports/text.hpp"

namespace railcast {
namespace {

constexpr Schedule kAll[] = {Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb1p,
                             Schedule::zbv,         Schedule::dualpipe,    Schedule::dualpipe_v};

// Virtual stages are interleaved's own: two at least. Its group is the smallest divisor of the micro-batches that the
// schedule takes (pp or more), unless the plan names one.
Plan with(const Scenario& s, Schedule schedule) {
  Plan p = s.plan;
  p.schedule = schedule;
  if (schedule != Schedule::interleaved) {
    p.vp = 1, p.micro_batch_group = 0;
    return p;
  }
  p.vp = std::max<std::int64_t>(p.vp, 2);
  const std::int64_t n = micro_batches(p, s.gpus(), s.train.global_batch);
  for (std::int64_t g = p.pp; p.micro_batch_group == 0 && g <= n; ++g)
    if (n % g == 0) p.micro_batch_group = g;
  return p;
}

ScheduleRow row(const Scenario& s, Schedule schedule) {
  ScheduleRow r{schedule, std::nullopt, ""};
  Scenario changed = s;
  try {
    changed.plan = with(s, schedule);
    const Forecast f = forecast(changed);
    r.metrics = f.metrics;
    if (!f.metrics.memory.fits()) r.reason = memory_advice(changed, f.memory);
  } catch (const std::exception& e) {
    r.reason = e.what();
    if (const auto at = r.reason.find("#/"); at == s.path.size()) r.reason = r.reason.substr(at + 2);
  }
  return r;
}

}  // namespace

int schedules(const ScenarioOptions& o) {
  const Scenario s = load_scenario(o.scenario, o.set);
  check_plan(with(s, s.plan.schedule), s.model, s.gpus(), s.train.global_batch);
  std::vector<ScheduleRow> rows(std::size(kAll));
  in_parallel(rows.size(), o.threads, [&](std::size_t i) { rows[i] = row(s, kAll[i]); });
  if (!write_json(o.json, schedules_json(s, rows))) std::cout << schedules_text(rows, use_colour());
  const auto fits = [](const ScheduleRow& r) { return r.metrics && r.metrics->memory.fits(); };
  return std::ranges::any_of(rows, fits) ? kForecast : kDoesNotFit;
}

}  // namespace railcast
