#include "validate/report.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

using Json = nlohmann::ordered_json;

std::string signed_percent(double x) { return (x >= 0.0005 ? "+" : "") + percent_text(x); }

std::string interval_text(const Case& c) {
  return c.has_interval() ? in_unit(c.unit, c.low) + " - " + in_unit(c.unit, c.high) : "";
}

std::string verdict(const Case& c) {
  if (c.broken()) return "BROKEN";
  if (c.fitted) return "fitted";
  return !c.has_interval() ? (c.within > 0 ? "met" : "compared") : c.inside() ? "inside" : "outside";
}

Json summary(const Summary& s) {
  return {{"suite", s.suite},
          {"rows", s.rows},
          {"median_error", s.median_error},
          {"p90_error", s.p90_error},
          {"bias", s.bias},
          {"coverage", s.with_interval > 0 ? Json(s.coverage) : Json(nullptr)},
          {"with_interval", s.with_interval},
          {"broken", s.broken}};
}

Json case_json(const Case& c) {
  return {{"suite", c.suite},
          {"id", c.id},
          {"metric", c.metric},
          {"unit", c.unit},
          {"forecast", c.forecast},
          {"truth", c.truth},
          {"error", c.error()},
          {"low", c.has_interval() ? Json(c.low) : Json(nullptr)},
          {"high", c.has_interval() ? Json(c.high) : Json(nullptr)},
          {"inside", c.has_interval() ? Json(c.inside()) : Json(nullptr)},
          {"within", c.within > 0 ? Json(c.within) : Json(nullptr)},
          {"fitted", c.fitted},
          {"source", c.source},
          {"note", c.note}};
}

void summary_rows(Table& t, const std::vector<Summary>& suites) {
  t.row({"suite", "cases", "median error", "p90 error", "bias", "in the 90 % interval", "bounds broken"});
  for (const Summary& s : suites)
    t.row({s.suite, std::to_string(s.rows), percent_text(s.median_error), percent_text(s.p90_error),
           signed_percent(s.bias),
           s.with_interval > 0 ? percent_text(s.coverage) + " of " + std::to_string(s.with_interval) : "-",
           std::to_string(s.broken)});
}

/// The cases that are off most, first.
std::vector<Case> worst(std::vector<Case> cases, std::size_t count) {
  std::ranges::stable_sort(cases, std::ranges::greater(), [](const Case& c) { return std::abs(c.error()); });
  cases.resize(std::min(count, cases.size()));
  return cases;
}

std::vector<std::string> case_cells(const Case& c) {
  return {c.id,
          c.metric,
          in_unit(c.unit, c.forecast),
          interval_text(c),
          in_unit(c.unit, c.truth),
          signed_percent(c.error()),
          verdict(c),
          c.note.empty() ? c.source : c.source + ". " + c.note};
}

}  // namespace

std::string in_unit(const std::string& unit, double value) {
  if (unit == "us") return duration_text(value * 1e-6);
  if (unit == "s") return duration_text(value);
  if (unit == "B") return bytes_text(value);
  if (unit == "share") return percent_text(value);
  const std::string number = value >= 1e5 ? count_text(value) : significant(value, 4);
  return unit.empty() ? number : number + " " + unit;
}

std::string with_interval(const std::string& unit, double value, double low, double high) {
  return in_unit(unit, value) + " (" + in_unit(unit, low) + " - " + in_unit(unit, high) + ", 90 %)";
}

std::string summary_json(const Summary& s, const std::vector<std::string>& left_out) {
  Json j = summary(s);
  j["left_out"] = left_out;
  return j.dump(2) + "\n";
}

std::string rows_text(const Summary& s, const std::vector<Case>& cases, const std::vector<std::string>& left_out) {
  Table t("lrrrrrr");
  summary_rows(t, {s});
  t.line("");
  t.line("off most:");
  std::string text = t.text();
  Table rows("lrrrr");
  for (const Case& c : worst(cases, 10))
    rows.row(
        {c.id, in_unit(c.unit, c.forecast), interval_text(c), in_unit(c.unit, c.truth), signed_percent(c.error())});
  text += rows.text();
  for (const std::string& left : left_out) text += "left out: " + left + "\n";
  return text;
}

std::string validation_text(const std::vector<Case>& cases, const std::vector<Summary>& suites, bool colour) {
  std::string text;
  Table summary("lrrrrrr");
  summary_rows(summary, suites);
  text += inked("forecasts beside what nobody fitted to", Ink::bold, colour) + "\n\n" + summary.text();
  for (const Summary& s : suites) {
    Table t("llrrrrll", 2, 70);
    t.row({"case", "metric", "forecast", "90 %", "truth", "error", "", "source"});
    for (const Case& c : cases)
      if (c.suite == s.suite) t.row(case_cells(c));
    text += "\n" + s.suite + "\n" + t.text();
  }
  return text;
}

std::string validation_markdown(const std::vector<Case>& cases, const std::vector<Summary>& suites) {
  std::string text =
      "| suite | cases | median error | 90th percentile | bias | inside the 90 % interval "
      "|\n|---|--:|--:|--:|--:|--:|\n";
  for (const Summary& s : suites)
    text += "| " + s.suite + " | " + std::to_string(s.rows) + " | " + percent_text(s.median_error) + " | " +
            percent_text(s.p90_error) + " | " + signed_percent(s.bias) + " | " +
            (s.with_interval > 0 ? percent_text(s.coverage) + " of " + std::to_string(s.with_interval) : "-") + " |\n";
  text += "\n| case | metric | forecast | 90 % interval | truth | error | source |\n|---|---|--:|--:|--:|--:|---|\n";
  for (const Case& c : cases) {
    if (c.within == 0 && c.note.empty()) continue;
    text += "|";
    for (const std::string& cell : {c.id, c.metric, in_unit(c.unit, c.forecast), interval_text(c),
                                    in_unit(c.unit, c.truth), signed_percent(c.error()), case_cells(c).back()})
      text += " " + cell + " |";
    text += "\n";
  }
  return text;
}

std::string validation_json(const std::vector<Case>& cases, const std::vector<Summary>& suites) {
  Json j{{"suites", Json::array()}, {"cases", Json::array()}};
  for (const Summary& s : suites) j["suites"].push_back(summary(s));
  for (const Case& c : cases) j["cases"].push_back(case_json(c));
  return j.dump(2) + "\n";
}

}  // namespace railcast
