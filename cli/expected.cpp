#include "cli/expected.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/quantity.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

double error_of(const Expectation& e, const Figures& figures) { return figures.at(e.metric) / e.value - 1; }

bool met(const Expectation& e, const Figures& figures) { return std::abs(error_of(e, figures)) <= e.within; }

}  // namespace

void check_expected(const std::string& path, const std::vector<Expectation>& expect, const Figures& figures) {
  std::vector<std::string> names;
  for (const auto& [name, value] : figures) names.push_back(name);
  for (std::size_t i = 0; i < expect.size(); ++i)
    if (!figures.contains(expect[i].metric))
      throw BadInput(
          path, "/expect/" + std::to_string(i) + "/metric",
          "\"" + expect[i].metric + "\" is none of " + listed(names) + did_you_mean(expect[i].metric, names));
}

std::string expected_text(const std::vector<Expectation>& expect, const Figures& figures, bool colour) {
  if (expect.empty()) return {};
  Table t("lrrrrll");
  t.line("published figures");
  t.row({"metric", "forecast", "published", "error", "within", "", "source"});
  for (const Expectation& e : expect) {
    const double error = error_of(e, figures);
    const std::string verdict = met(e, figures) ? inked("met", Ink::green, colour) : inked("missed", Ink::red, colour);
    t.row({e.metric, metric_text(e.metric, figures.at(e.metric)), metric_text(e.metric, e.value),
           (error >= 0.0005 ? "+" : "") + percent_text(error), percent_text(e.within), verdict, e.source});
  }
  return t.text();
}

nlohmann::ordered_json expected_json(const std::vector<Expectation>& expect, const Figures& figures) {
  auto list = nlohmann::ordered_json::array();
  for (const Expectation& e : expect)
    list.push_back({{"metric", e.metric},
                    {"forecast", figures.at(e.metric)},
                    {"published", e.value},
                    {"error", error_of(e, figures)},
                    {"within", e.within},
                    {"met", met(e, figures)},
                    {"source", e.source}});
  return list;
}

}  // namespace railcast
