// railcast fit: measured rows -> fit.json and the rows that it rests on.
#include "validate/fit.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "cli/load_fit.hpp"
#include "cli/load_machine.hpp"
#include "cli/load_scenario.hpp"
#include "cli/measured.hpp"
#include "cli/verbs.hpp"
#include "cli/worth.hpp"
#include "model/spread.hpp"
#include "reports/file.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"
#include "validate/compare.hpp"
#include "validate/fit_report.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

std::string fits_table(const Fit& f) {
  Table t("lllrrrrl");
  t.row({"family", "impl", "method", "rows", "median", "p90", "90 % within", "tile"});
  for (const FittedFamily& x : f.families) {
    const double near = x.bands.front().spread, far = x.bands.back().spread;
    t.row({x.family, x.impl, x.method, std::to_string(x.rows), percent_text(x.median_error), percent_text(x.p90_error),
           percent_text(std::expm1(near)) + " - " + percent_text(std::expm1(far)),
           x.form == Form::tiles ? name(x.choice) : ""});
  }
  return t.text();
}

std::string held_out_line(const Fit& f, const Machine& m, const HeldOut& held) {
  const Summary s = summarize("held out", compare_rows(f, m, held.rows(), "held out"));
  if (s.rows == 0) return "no row held out\n";
  return "held out, " + std::to_string(s.rows) + " rows: median error " + percent_text(s.median_error) + ", p90 " +
         percent_text(s.p90_error) + ", bias " + percent_text(s.bias) + ", inside the 90 % interval " +
         percent_text(s.coverage) + "\n";
}

/// What to measure next for DeepSeek-V3's step, by the fit's intervals; shapes that no family of it has come first.
std::vector<std::string> measure_next(const Fit& f, const Machine& m) {
  const Scenario v3 = load_scenario(scenarios_folder() + "/train/deepseek-v3-2048-h800.json");
  const auto cost = [&](const Shape& s) -> Uncertain {
    for (const FittedFamily& x : f.families)
      if (x.family == fit_family(s) && x.method == "sustained") {
        const Estimated e = estimate(x, m, {s, m.sms});
        return {e.us * 1e-6, e.spread};
      }
    return {roofline(m)->cost(s, m.sms).total().seconds(), kRooflineSpread};
  };
  std::vector<std::string> lines;
  for (const Worth& w : worth_measuring(v3, cost)) lines.push_back(w.line);
  return lines;
}

void write_report(const std::string& path, const Fit& f, const Machine& m, const Split& split) {
  std::vector<FitPlot> plots;
  for (const FittedFamily& x : f.families) {
    const Fit one{f.device, f.source, f.chip, {x}};
    FitPlot p{x.family + ", " + x.impl + ", " + x.method, compare_rows(one, m, split.fit.rows(), "fit")};
    for (Case& c : p.cases) c.fitted = true;
    for (Case& c : compare_rows(one, m, split.held_out.rows(), "held out")) p.cases.push_back(std::move(c));
    plots.push_back(std::move(p));
  }
  const std::string page = fit_report_html("Fit of " + f.source + " on " + f.device, plots, measure_next(f, m));
  write_file(path, [&](std::ostream& out) { out << page; });
}

}  // namespace

Machine measured_machine(const std::string& device, const std::string& said) {
  std::string name = device;
  for (const char* known : {"h200", "h100", "h800", "h20", "b200"}) {
    std::string upper = known;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    if (name.empty() && said.find(upper) != std::string::npos) name = known;
  }
  if (name.empty()) throw BadInput(said, "", "is no machine known here; give --device, such as h100");
  return load_machine(name, scenarios_folder());
}

int fit(const FitOptions& o) {
  const Measured measured = load_measured(o.measured, {o.device, 132, "DeepGEMM", "fp8_block"});
  if (!o.report.empty() && !o.report.ends_with(".html")) throw BadInput(o.report, "", "a report is a .html file");
  const Machine m = measured_machine(o.device, measured.device);
  const Split split = Split::by_shape(measured.rows, o.held_out);
  make_folder(o.calibration);  // before the seconds that a fit takes
  Fit f = fit(split.fit, m);
  if (f.families.empty())
    throw BadInput(o.measured, "", "no family of shapes has " + std::to_string(kFewestRows) + " rows to fit to");
  f.device = measured.device;
  f.source = std::to_string(split.fit.rows().size()) + " of " + std::to_string(measured.rows.size()) + " rows of " +
             fs::path(o.measured).lexically_normal().filename().string();
  write_file((fs::path(o.calibration) / "fit.json").string(), [&](std::ostream& out) { out << fit_json(f); });
  std::cout << measured.device << ": " << f.source << " fitted, cross-validated errors\n\n"
            << fits_table(f) << "\n"
            << held_out_line(f, m, split.held_out);
  if (!o.report.empty()) write_report(o.report, f, m, split);
  const auto few = std::ranges::count_if(by_family(split.fit.rows()),
                                         [](const FamilyRows& r) { return r.rows.size() < kFewestRows; });
  if (few > 0)
    std::cout << few << " more families of shape, impl and method have fewer than " << kFewestRows
              << " rows: too few to fit to, their tables are interpolated\n";
  for (const std::string& left : measured.left_out) std::cout << "left out: " << left << "\n";
  std::cout << "written: " << (fs::path(o.calibration) / "fit.json").string() << "\n";
  return kForecast;
}

}  // namespace railcast
