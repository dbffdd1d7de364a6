// railcast validate: forecasts beside measurements that nobody fitted to.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/explain_case.hpp"
#include "cli/load_fit.hpp"
#include "cli/load_machine.hpp"
#include "cli/measured.hpp"
#include "cli/suites.hpp"
#include "cli/verbs.hpp"
#include "validate/report.hpp"

namespace railcast {
namespace {

/// Forecasts every row of other files from a calibration's fit.
int validate_rows(const ValidateOptions& o) {
  const auto file = std::filesystem::path(o.calibration) / "fit.json";
  if (!std::filesystem::exists(file))
    throw BadInput(o.calibration, "",
                   "has no fit.json; write it with `railcast fit MEASURED_DIR -o " + o.calibration + "`");
  const Fit f = load_fit(file.string());
  const Machine m = measured_machine(o.device, f.device);
  const Measured measured =
      load_measured(o.rows, {o.device.empty() ? m.name : o.device, m.sms, "DeepGEMM", "fp8_block"});
  std::vector<std::string> left_out = measured.left_out;
  const std::vector<Case> cases = compare_rows(f, m, measured.rows, "rows", &left_out);
  if (cases.empty()) throw BadInput(o.rows, "", "no row belongs to a family of " + file.string());
  const Summary s = summarize("rows", cases);
  if (!write_json(o.json, summary_json(s, left_out))) std::cout << rows_text(s, cases, left_out);
  return kForecast;
}

std::vector<Case> asked_for(const std::string& suite) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, std::vector<Case> (*of)()) {
    if (suite != "all" && suite != name) return;
    progress(std::string("suite ") + name);
    for (Case& c : of()) cases.push_back(std::move(c));
  };
  add("kernels", kernel_cases), add("network", network_cases), add("training", training_cases);
  return cases;
}

std::vector<Summary> summaries(const std::vector<Case>& cases) {
  std::vector<std::string> suites;
  for (const Case& c : cases)
    if (std::ranges::find(suites, c.suite) == suites.end()) suites.push_back(c.suite);
  std::vector<Summary> all;
  for (const std::string& suite : suites) all.push_back(summarize(suite, cases));
  return all;
}

/// What is broken: cases off by more than they state, and suites off by more than published/bounds.json states.
std::vector<std::string> broken(const std::vector<Case>& cases, const std::vector<Summary>& suites) {
  std::vector<std::string> lines;
  for (const Case& c : cases)
    if (c.broken()) lines.push_back(c.id + " is off by more than its bound");
  for (const Bound& b : stated_bounds())
    for (const Summary& s : suites)
      if (s.suite == b.suite && b.broken_by(s))
        lines.push_back("suite \"" + s.suite + "\" is off by more than its bound");
  return lines;
}

}  // namespace

int validate(const ValidateOptions& o) {
  if (!o.rows.empty()) return validate_rows(o);
  if (!o.explain.empty()) return explain_case(o.explain);
  const std::vector<Case> cases = asked_for(o.suite);
  const std::vector<Summary> suites = summaries(cases);
  if (!write_json(o.json, validation_json(cases, suites)))
    std::cout << (o.markdown ? validation_markdown(cases, suites) : validation_text(cases, suites, use_colour()));
  const auto lines = broken(cases, suites);
  for (const std::string& line : lines) std::cerr << "railcast: " << line << "\n";
  return lines.empty() ? kForecast : kFailed;
}

}  // namespace railcast
