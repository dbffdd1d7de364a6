// Forecasts as JSON: names are stable, keys keep their order, numbers are printed so that they read back as they are,
// and the same forecast gives the same bytes.
#pragma once
#include <string>
#include <vector>

#include "reports/metrics.hpp"
#include "reports/overlap.hpp"
#include "reports/text.hpp"

namespace railcast {

/// docs/metrics.md defines each name. layer_pair_s is null where the schedule has no overlapped F&B.
std::string run_json(const Scenario& s, const Metrics& m, const std::vector<std::string>& warnings);
/// {"schedules": [{"schedule", "fits", "reason", "metrics": {...} or null}]}
std::string schedules_json(const Scenario& s, const std::vector<ScheduleRow>& rows);
/// {"ops": [{"segment", "what", "shape", "flops", "bytes", "sms", "time_s", "provenance", "source"}],
///  "overlapped": [{"segment", "alone_s", "overlapped_s", "times"}]}
std::string explain_json(const std::vector<ExplainRow>& rows, const std::vector<Slowdown>& overlapped);

}  // namespace railcast
