#include <iostream>

#include "cli/all_to_all.hpp"
#include "cli/exchange.hpp"
#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "cli/moe_layer.hpp"
#include "cli/sensitivity.hpp"
#include "cli/verbs.hpp"
#include "reports/chrome_trace.hpp"
#include "reports/file.hpp"
#include "reports/json.hpp"
#include "reports/perfetto.hpp"
#include "reports/text.hpp"

namespace railcast {
namespace {

void check_trace_name(const std::string& path) {
  if (!path.empty() && !path.ends_with(".pftrace") && !path.ends_with(".json"))
    throw BadInput(path, "", "a trace is .pftrace (Perfetto) or .json (Chrome)");
}

// A track per lane of each representative rank, however the step was simulated.
void write_trace(const Scenario& s, const Forecast& f, const RunOptions& o) {
  if (o.trace.empty()) return;
  const Forecast folded = o.no_fold ? forecast(s) : Forecast{};
  const Forecast& shown = o.no_fold ? folded : f;
  const Timeline t = timeline(shown.step, shown.trace);
  write_file(o.trace, [&](std::ostream& out) {
    (o.trace.ends_with(".json") ? write_chrome_trace : write_perfetto)(out, shown.step, t);
  });
}

}  // namespace

int run(const RunOptions& o) {
  if (is_exchange(o.scenario, o.set)) return run_exchange(o);
  if (is_all_to_all(o.scenario, o.set)) return run_all_to_all(o);
  if (is_moe_layer(o.scenario, o.set)) return run_moe_layer(o);
  check_trace_name(o.trace);
  const Scenario s = load_scenario(o.scenario, o.set);
  if (o.no_fold) progress("simulating " + std::to_string(s.gpus()) + " ranks, op by op");
  Forecast f = forecast(s, !o.no_fold);
  if (!o.no_fold) add_interval(s, f);
  const auto notes = warnings(s, f);
  write_trace(s, f, o);
  if (o.sensitivity) {
    const Sensitivity found = sensitivity(s, f);
    if (!write_json(o.json, sensitivity_json(found))) std::cout << sensitivity_text(found, use_colour());
    return kForecast;
  }
  if (!write_json(o.json, run_json(s, f.metrics, notes))) std::cout << run_text(s, f.metrics, notes, use_colour());
  return f.metrics.memory.fits() || o.allow_oom ? kForecast : kDoesNotFit;
}

}  // namespace railcast
