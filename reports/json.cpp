#include "reports/json.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace railcast {
namespace {

using Json = nlohmann::ordered_json;

Json number(const NamedValue& v) {
  if (v.whole) return static_cast<std::int64_t>(v.value);
  return v.value;
}

Json by_rank(const MemoryFigures& m) {
  Json ranks = Json::array();
  for (const RankFigures& r : m.by_rank) {
    Json rank{{"pp_rank", r.memory.pp_rank},
              {"stages", r.memory.stages},
              {"layers", r.layers},
              {"in_flight", r.memory.in_flight},
              {"peak_bytes", std::llround(r.memory.peak.total())}};
    for (const auto& [category, bytes] : categories(r.memory.peak)) rank["by_category"][category] = std::llround(bytes);
    ranks.push_back(std::move(rank));
  }
  return ranks;
}

Json critical_path(const Metrics& m) {
  Json kinds = Json::array();
  for (const PathKind& k : m.critical_path)
    kinds.push_back({{"kind", name(k.kind)}, {"time_s", k.time_s}, {"share", k.share}, {"ops", k.count}});
  return kinds;
}

Json expectations(const Scenario& s, const Metrics& m) {
  Json list = Json::array();
  for (const Outcome& o : outcomes(s, m))
    list.push_back({{"metric", o.expected.metric},
                    {"forecast", o.forecast},
                    {"published", o.expected.value},
                    {"error", o.error},
                    {"within", o.checked() ? Json(o.expected.within) : Json(nullptr)},
                    {"met", o.checked() ? Json(o.met()) : Json(nullptr)},
                    {"source", o.expected.source}});
  return list;
}

/// "phases.bubble_s" goes to the member bubble_s of phases.
Json figures(const Metrics& m) {
  Json out;
  for (const NamedValue& v : named_values(m)) {
    std::string pointer = "/" + v.name;
    std::ranges::replace(pointer, '.', '/');
    out[Json::json_pointer(pointer)] = number(v);
  }
  if (m.layer_pair_s <= 0) out["layer_pair_s"] = nullptr;
  out["memory"]["by_rank"] = by_rank(m.memory);
  out["critical_path"] = critical_path(m);
  return out;
}

std::string text(const Json& j) { return j.dump(2) + "\n"; }

}  // namespace

std::string run_json(const Scenario& s, const Metrics& m, const std::vector<std::string>& warnings) {
  Json out = figures(m);
  if (m.step_high_s > 0)
    out["interval"] = {{"metric", "step_time_s"}, {"level", 0.9}, {"low_s", m.step_low_s}, {"high_s", m.step_high_s}};
  out["expect"] = expectations(s, m);
  out["warnings"] = warnings;
  return text(out);
}

std::string schedules_json(const Scenario& s, const std::vector<ScheduleRow>& rows) {
  Json out{{"scenario", s.path}, {"schedules", Json::array()}};
  for (const ScheduleRow& r : rows)
    out["schedules"].push_back({{"schedule", name(r.schedule)},
                                {"fits", r.metrics && r.metrics->memory.fits()},
                                {"reason", r.reason},
                                {"metrics", r.metrics ? figures(*r.metrics) : Json(nullptr)}});
  return text(out);
}

std::string explain_json(const std::vector<ExplainRow>& rows, const std::vector<Slowdown>& overlapped) {
  Json out{{"ops", Json::array()}, {"overlapped", Json::array()}};
  for (const ExplainRow& r : rows)
    out["ops"].push_back({{"segment", r.segment},
                          {"what", r.what},
                          {"shape", r.shape},
                          {"flops", r.flops},
                          {"bytes", r.bytes},
                          {"sms", r.sms},
                          {"time_s", r.time.seconds()},
                          {"provenance", name(r.provenance)},
                          {"source", r.source}});
  for (const Slowdown& x : overlapped)
    out["overlapped"].push_back(
        {{"segment", name(x.kind)}, {"alone_s", x.alone_s}, {"overlapped_s", x.overlapped_s}, {"times", x.times()}});
  return text(out);
}

}  // namespace railcast
