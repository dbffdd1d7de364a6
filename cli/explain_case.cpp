#include "cli/explain_case.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>

#include "cli/load_scenario.hpp"
#include "cli/quantity.hpp"
#include "cli/suites.hpp"
#include "cli/verbs.hpp"
#include "cli/worth.hpp"
#include "model/layer.hpp"
#include "model/retime.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"
#include "validate/report.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

/// A stem's part of a step.
struct Part {
  std::size_t stem = 0;
  double plus = 0, share = 0;  ///< ln(step) where all its costs are one deviation longer; of the ops' time
  std::map<std::string, double> sources;
};

/// Where the costs of a layer's shapes come from, by stem and seconds.
void add_sources(const Scenario& s, std::vector<Part>& parts) {
  const LayerWork w =
      layer_work(s.model, s.plan, s.model.num_hidden_layers - 1, s.train.sequence, s.machine.gpus_per_node);
  const std::int64_t sms = s.machine.sms - s.plan.comm_sms;
  for (const Works* works : {&w.attn_f, &w.mlp_f, &w.attn_b, &w.mlp_b, &w.attn_w, &w.mlp_w})
    for (const Work& work : *works) {
      const Cost c =
          s.costs->cost(work.shape, is_collective(work.shape) ? std::max<std::int64_t>(1, s.plan.comm_sms) : sms);
      parts[work.shape.index()].sources[describe(work.shape) + ": " + name(c.provenance) + ", " + portable(c.source)] +=
          c.total().seconds();
    }
}

std::vector<Part> parts_of(const Scenario& s, const Forecast& f) {
  std::vector<Part> parts(std::variant_size_v<Shape>);
  double all = 0;
  for (const Op& op : f.step.graph.ops)
    for (const Share& x : f.step.segments[op.cost].shares) {
      const double t = (x.latency + x.work).seconds();
      parts[x.stem].share += t, all += t;
    }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].stem = i;
    if (parts[i].share == 0) continue;
    parts[i].share /= all;
    Retiming r;
    r.z[i] = 1;
    parts[i].plus = makespan(f.step, r).seconds() / f.metrics.step_time_s - 1;
  }
  add_sources(s, parts);
  std::erase_if(parts, [](const Part& p) { return p.share == 0; });
  std::ranges::stable_sort(parts, std::ranges::greater(), &Part::plus);
  return parts;
}

/// A stem's name, by a blank shape of its alternative.
template <std::size_t... I>
std::string stem_name(std::size_t i, std::index_sequence<I...>) {
  std::string found;
  ((I == i ? void(found = stem(Shape(std::in_place_index<I>))) : void()), ...);
  return found;
}

std::string step_text(const Scenario& s, const Forecast& f, const Case& c) {
  std::string text = c.id + ": " + with_interval(c.unit, c.forecast, c.low, c.high) + ", published " +
                     in_unit(c.unit, c.truth) + ", error " + percent_text(c.error()) + "\n" + c.source + "\n\n";
  Table t("lrr");
  t.row({"kernels", "of all ops' time", "step, were they one deviation longer"});
  const auto parts = parts_of(s, f);
  for (const Part& p : parts)
    t.row({stem_name(p.stem, std::make_index_sequence<std::variant_size_v<Shape>>()), percent_text(p.share),
           "+" + percent_text(p.plus)});
  text += t.text() + "\nrows they rest on (last layer)\n";
  Table rows("l", 2, 110);
  for (std::size_t i = 0; i < std::min<std::size_t>(3, parts.size()); ++i)
    for (const auto& [source, seconds] : parts[i].sources) rows.row({source});
  text += rows.text() + "\nworth measuring next (lines for railcast-measure --shapes)\n";
  const auto cost = [&](const Shape& shape) -> Uncertain {
    const Cost own = s.costs->cost(shape, s.machine.sms - s.plan.comm_sms);
    return {own.total().seconds(), own.spread};
  };
  const auto next = worth_measuring(s, cost);
  for (std::size_t i = 0; i < std::min<std::size_t>(8, next.size()); ++i) text += "  " + next[i].line + "\n";
  return text;
}

const Case* with_id(const std::vector<Case>& cases, const std::string& id) {
  const auto found = std::ranges::find(cases, id, &Case::id);
  return found == cases.end() ? nullptr : &*found;
}

int explain_step(const std::string& path, const Case& c) {
  const Scenario s = load_scenario(path);
  Forecast f = forecast(s);
  add_interval(f);
  std::cout << step_text(s, f, c);
  return kForecast;
}

/// The rows of the fit that a forecast leans on most.
std::string rests_text(const Case& c) {
  if (c.rests_on.empty()) return "";
  Table t("lrr");
  t.row({"rests on, most alike first", "alike", "over its prices"});
  for (const Neighbour& n : c.rests_on)
    t.row({portable(n.row), percent_text(n.likeness), percent_text(std::expm1(n.rest))});
  return "\n" + t.text();
}

int explain_row(const Case& c, const std::vector<Case>& cases) {
  std::cout << c.id << ": " << with_interval(c.unit, c.forecast, c.low, c.high) << ", measured "
            << in_unit(c.unit, c.truth) << ", error " << percent_text(c.error()) << "\n"
            << c.source << "\n"
            << rests_text(c) << "\ncases of its suite of about the same time\n";
  std::vector<Case> near = cases;
  std::erase_if(near, [&](const Case& o) { return o.suite != c.suite || o.id == c.id; });
  std::ranges::stable_sort(near, {}, [&](const Case& o) { return std::abs(o.truth / c.truth - 1); });
  Table t("lrrr");
  for (std::size_t i = 0; i < std::min<std::size_t>(8, near.size()); ++i)
    t.row({near[i].id, in_unit(near[i].unit, near[i].forecast), in_unit(near[i].unit, near[i].truth),
           percent_text(near[i].error())});
  std::cout << t.text();
  return kForecast;
}

}  // namespace

int explain_case(const std::string& id) {
  const fs::path file = fs::path(scenarios_folder()) / "train" / (id.substr(0, id.find('/')) + ".json");
  const bool step = fs::exists(file);
  std::vector<Case> cases = step ? training_cases() : kernel_cases();
  if (!step)
    for (Case& c : network_cases()) cases.push_back(std::move(c));
  const Case* const found = with_id(cases, id);
  if (found == nullptr) {
    std::vector<std::string> ids;
    for (const Case& c : cases) ids.push_back(c.id);
    throw BadInput("--explain " + id, "",
                   "no case has this id; `railcast validate --json` lists them" + did_you_mean(id, ids));
  }
  return step ? explain_step(file.string(), *found) : explain_row(*found, cases);
}

}  // namespace railcast
