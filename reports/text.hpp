// Forecasts as aligned text for a terminal. The answer comes first.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "reports/metrics.hpp"

namespace railcast {

/// The whole forecast of `run`. `warnings` are printed at the end, a line each.
std::string run_text(const Scenario& s, const Metrics& m, const std::vector<std::string>& warnings, bool colour);

/// One schedule of `schedules`: its forecast, or the reason why there is none. A reason beside a forecast says why it
/// would not run (it does not fit), or what else there is to say.
struct ScheduleRow {
  Schedule schedule = Schedule::one_f_one_b;
  std::optional<Metrics> metrics;
  std::string reason;
};
std::string schedules_text(const std::vector<ScheduleRow>& rows, bool colour);

/// One op of `explain`: `segment` is the lane segment it belongs to ("ATTN(F)"), `shape` a readable line.
struct ExplainRow {
  std::string segment, what, shape;
  double flops = 0, bytes = 0;
  std::int64_t sms = 0;
  Time time;
  Provenance provenance = Provenance::assumed;
  std::string source;
};
/// Rows by segment with its totals; sources are numbered and listed below.
std::string explain_text(const std::vector<ExplainRow>& rows, bool colour);

}  // namespace railcast
