#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/load_scenario.hpp"
#include "cli/parallel.hpp"
#include "cli/result.hpp"
#include "cli/verbs.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostRows = 1000;
/// Shown where the result has them and no --metric is given.
constexpr const char* kHeadlines[] = {"step_time_s",  "exposed_comm_s", "mfu_causal", "makespan_s",
                                      "port_bound_s", "notify_s",       "dispatch_s", "combine_s"};

/// A key and the values that it goes through.
struct Axis {
  std::string key;
  std::vector<std::string> values;
};

// "fabric.dead_nics=[],[5,6]": commas inside brackets and quotes belong to a value.
Axis axis_of(const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw BadInput("--set " + setting, "",
                   "expected KEY=VALUE,VALUE,... such as machine.nic=\"200 Gb/s\",\"400 Gb/s\"");
  Axis axis{setting.substr(0, equals), {""}};
  int depth = 0;
  bool quoted = false;
  for (const char c : setting.substr(equals + 1)) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '[' || c == '{')) ++depth;
    if (!quoted && (c == ']' || c == '}')) --depth;
    if (c == ',' && depth == 0 && !quoted) {
      axis.values.emplace_back();
    } else {
      axis.values.back() += c;
    }
  }
  if (std::ranges::count(axis.values, "") > 0) throw BadInput("--set " + setting, "", "has an empty value");
  return axis;
}

std::vector<std::string> settings(const std::vector<Axis>& axes, std::size_t row) {
  std::vector<std::string> set(axes.size());
  for (std::size_t a = axes.size(); a-- > 0; row /= axes[a].values.size())
    set[a] = axes[a].key + "=" + axes[a].values[row % axes[a].values.size()];
  return set;
}

std::size_t rows_of(const std::vector<Axis>& axes) {
  std::size_t rows = 1;
  for (const Axis& a : axes)
    if ((rows *= a.values.size()) > kMostRows)
      throw BadInput("--set", "", "more than " + std::to_string(kMostRows) + " combinations; name fewer values");
  return rows;
}

/// "phases.bubble_s" in a result; nullptr where it is no number.
const json* metric_of(const json& result, const std::string& name) {
  std::string pointer = "/" + name;
  std::ranges::replace(pointer, '.', '/');
  const json::json_pointer at(pointer);
  return result.contains(at) && result.at(at).is_number() ? &result.at(at) : nullptr;
}

std::vector<std::string> metrics_of(const std::vector<std::string>& asked, const json& result) {
  std::vector<std::string> metrics, known;
  for (const auto& [key, value] : result.items())
    if (value.is_number()) known.push_back(key);
  for (const std::string& m : asked)
    if (metric_of(result, m) == nullptr)
      throw BadInput("--metric " + m, "",
                     "is no number of the result; it has " + listed(known) + did_you_mean(m, known));
  if (!asked.empty()) return asked;
  for (const char* m : kHeadlines)
    if (metric_of(result, m) != nullptr) metrics.emplace_back(m);
  return metrics;
}

/// What bounds an exchange, where the result says.
std::string note_of(const json& result) {
  if (result.contains("busiest") && !result["busiest"].empty())
    return "busiest: " + result["busiest"][0]["link"].get<std::string>();
  if (result.contains("dispatch_bound_by"))
    return "bound by " + result["dispatch_bound_by"].get<std::string>() + ", " +
           result["combine_bound_by"].get<std::string>();
  return "";
}

bool fits(const json& result) {
  if (!result.contains("memory")) return true;
  return result["memory"]["peak_bytes"].get<double>() <= result["memory"]["capacity_bytes"].get<double>();
}

double value_of(const json& result, const std::string& metric) {
  const json* const v = metric_of(result, metric);
  return v == nullptr ? 0 : v->get<double>();
}

std::string sweep_text(const std::vector<Axis>& axes, const std::vector<std::string>& metrics,
                       const std::vector<json>& results) {
  Table t(std::string(axes.size(), 'l') + [&] {
    std::string columns;
    for (std::size_t m = 0; m < metrics.size(); ++m) columns += "rr";
    return columns + "l";
  }());
  std::vector<std::string> head;
  for (const Axis& a : axes) head.push_back(a.key);
  for (const std::string& m : metrics) head.push_back(m), head.emplace_back("");
  t.row(head);
  for (std::size_t r = 0; r < results.size(); ++r) {
    std::vector<std::string> cells;
    for (const std::string& s : settings(axes, r)) cells.push_back(s.substr(s.find('=') + 1));
    for (const std::string& m : metrics) {
      const double v = value_of(results[r], m), first = value_of(results[0], m);
      cells.push_back(metric_text(m, v));
      cells.push_back(r == 0 || first == 0 ? "" : (v > first ? "+" : "") + percent_text(v / first - 1));
    }
    cells.push_back(fits(results[r]) ? note_of(results[r]) : "does not fit in memory");
    t.row(cells);
  }
  return t.text();
}

std::string sweep_json(const std::string& scenario, const std::vector<Axis>& axes,
                       const std::vector<std::string>& metrics, const std::vector<json>& results) {
  ordered_json j;
  j["scenario"] = scenario;
  j["rows"] = ordered_json::array();
  for (std::size_t r = 0; r < results.size(); ++r) {
    ordered_json row;
    for (const std::string& s : settings(axes, r)) row["set"][s.substr(0, s.find('='))] = s.substr(s.find('=') + 1);
    for (const std::string& m : metrics) row[m] = value_of(results[r], m);
    row["fits"] = fits(results[r]);
    j["rows"].push_back(row);
  }
  return j.dump(2) + "\n";
}

}  // namespace

int sweep(const SweepOptions& o) {
  std::vector<Axis> axes;
  for (const std::string& setting : o.set) axes.push_back(axis_of(setting));
  if (axes.empty()) throw BadInput("sweep", "", "nothing to sweep over; expected --set KEY=VALUE,VALUE,...");
  std::vector<json> results(rows_of(axes));
  in_parallel(results.size(), o.threads,
              [&](std::size_t r) { results[r] = json::parse(result_json(o.scenario, settings(axes, r))); });
  const auto metrics = metrics_of(o.metrics, results.front());
  if (!write_json(o.json, sweep_json(o.scenario, axes, metrics, results)))
    std::cout << sweep_text(axes, metrics, results);
  return std::ranges::any_of(results, fits) ? kForecast : kDoesNotFit;
}

}  // namespace railcast
