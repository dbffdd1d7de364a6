#include "reports/sensitivity.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

using Json = nlohmann::ordered_json;

void rows(Table& t, std::vector<Elasticity> list) {
  std::ranges::stable_sort(list, {}, &Elasticity::value);
  for (const Elasticity& e : list)
    t.row({e.what, significant(e.value, 3), significant(e.low, 3) + " to " + significant(e.high, 3)});
}

Json list(const std::vector<Elasticity>& all) {
  Json out = Json::array();
  for (const Elasticity& e : all)
    out.push_back({{"what", e.what}, {"elasticity", e.value}, {"low", e.low}, {"high", e.high}});
  return out;
}

}  // namespace

double Sensitivity::sum() const {
  double total = 0;
  for (const Elasticity& e : bases) total += e.value;
  return total;
}

std::string sensitivity_text(const Sensitivity& s, bool colour) {
  Table t("lrr");
  t.row({"what is faster by 1 %", "step time, %", "over the costs' intervals"});
  rows(t, s.bases);
  t.row({"sum", significant(s.sum(), 3)});
  t.line("");
  t.line("groups (not to be added)");
  rows(t, s.groups);
  std::string text = inked(duration_text(s.step_time_s), Ink::bold, colour) + " a step (" +
                     duration_text(s.step_low_s) + " - " + duration_text(s.step_high_s) + ", 90 %)\n\n" + t.text();
  Table choices("lrrl", 2, 70);
  choices.line("choices, planned again");
  for (const Choice& c : s.choices)
    choices.row({c.what, c.step_time_s > 0 ? duration_text(c.step_time_s) : "-",
                 c.step_time_s > 0 ? percent_text(c.step_time_s / s.step_time_s - 1) : "", c.reason});
  return text + "\n" + choices.text();
}

std::string sensitivity_json(const Sensitivity& s) {
  Json choices = Json::array();
  for (const Choice& c : s.choices)
    choices.push_back({{"what", c.what},
                       {"step_time_s", c.step_time_s > 0 ? Json(c.step_time_s) : Json(nullptr)},
                       {"reason", c.reason}});
  const Json out{{"step_time_s", s.step_time_s},
                 {"interval", {{"level", 0.9}, {"low_s", s.step_low_s}, {"high_s", s.step_high_s}}},
                 {"bases", list(s.bases)},
                 {"sum", s.sum()},
                 {"groups", list(s.groups)},
                 {"choices", std::move(choices)}};
  return out.dump(2) + "\n";
}

}  // namespace railcast
