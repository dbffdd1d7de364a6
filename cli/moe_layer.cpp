#include "cli/moe_layer.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/expected.hpp"
#include "cli/load_scenario.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kMost = 1 << 20;

void read_plan(JsonObject o, MoeLayerScenario& s) {
  MoeLayer& l = s.layer;
  l.ranks = o.integer("ep", 1, 64), l.gpus = o.has("gpus") ? o.integer("gpus", 1, 64) : l.ranks;
  l.sms = o.has("comm_sms") ? o.integer("comm_sms", 1, s.machine.sms) : s.machine.sms;
  if (l.ranks % l.gpus != 0)
    o.refuse("gpus", std::to_string(l.ranks) + " ranks (ep) cannot be dealt to " + std::to_string(l.gpus) + " GPUs");
  if (l.gpus > s.machine.gpus_per_node)
    o.refuse(o.has("gpus") ? "gpus" : "ep",
             "our exchange stays within a node of " + std::to_string(s.machine.gpus_per_node) + " GPUs");
  o.finish();
}

void read_layer(JsonObject o, MoeLayer& l) {
  l.tokens = o.integer("tokens", 1, kMost), l.hidden = o.integer("hidden", 128, kMost);
  l.inner = o.integer("inner", 128, kMost);
  for (const auto& [key, value] : {std::pair{"hidden", l.hidden}, {"inner", l.inner}})
    if (value % 128 != 0) o.refuse(key, std::to_string(value) + " is no multiple of 128, a scale's width");
  l.experts = o.integer("experts", 1, 1024), l.top_k = o.integer("top_k", 1, 32);
  if (o.has("groups")) l.groups = o.integer("groups", 1, 32);
  if (o.has("top_groups")) l.top_groups = o.integer("top_groups", 1, l.groups);
  if (l.experts % l.ranks != 0)
    o.refuse("experts",
             std::to_string(l.experts) + " do not divide over " + std::to_string(l.ranks) + " ranks (plan.ep)");
  if (l.experts % l.groups != 0) o.refuse("groups", std::to_string(l.experts) + " experts do not divide into them");
  if (l.top_k > l.top_groups * (l.experts / l.groups)) o.refuse("top_k", "more than the experts of top_groups groups");
  const std::int64_t each = l.experts / l.ranks;
  l.rows = o.has("rows") ? o.integer("rows", 128, 1 << 28) : l.tokens * l.top_k + 128 * each;
  o.finish();
}

Figures figures(const MoeLayerForecast& f) {
  return {{"forward_s", f.forward_s}, {"backward_s", f.backward_s}, {"forward_backward_s", f.forward_s + f.backward_s}};
}

std::string shape_text(const MoeOp& op) {
  if (const auto* shape = std::get_if<Shape>(&op.op)) return describe(*shape);
  if (const auto* e = std::get_if<OwnExchange>(&op.op))
    return std::to_string(e->shape.ranks) + " ranks of " + std::to_string(e->shape.tokens) + " tokens, " +
           name(e->shape.dtype) + ", " + std::to_string(e->sms) + " SMs";
  return bytes_text(std::get<Moved>(op.op).bytes) + " of device memory";
}

void add(const MoeLayerScenario& s, const char* pass, const std::vector<MoeOp>& ops, MoeLayerForecast& f, double& sum) {
  for (const MoeOp& op : ops) {
    f.lines.push_back({pass, op.what, shape_text(op), op.times, moe_cost(s.machine, *s.costs, op)});
    sum += f.lines.back().seconds();
  }
}

std::string text(const MoeLayerScenario& s, const MoeLayerForecast& f, bool colour) {
  const MoeLayer& l = s.layer;
  std::string out = inked(s.about.empty() ? s.path : s.about, Ink::bold, colour) + "\nforward " +
                    duration_text(f.forward_s) + ", forward and backward " + duration_text(f.forward_s + f.backward_s) +
                    ": " + std::to_string(l.ranks) + " ranks on " + std::to_string(l.gpus) +
                    (l.gpus > 1 ? " GPUs" : " GPU") + " of " + s.machine.name + ", one kernel after another\n\n";
  Table t("llrrrl");
  t.row({"", "kernel", "times", "each", "all", "shape"});
  for (const auto& line : f.lines)
    t.row({line.pass, line.what, std::to_string(line.times), duration_text(line.cost.total().seconds()),
           duration_text(line.seconds()), line.shape});
  const std::string expected = expected_text(s.expect, figures(f), colour);
  return out + t.text() + (expected.empty() ? "" : "\n" + expected);
}

}  // namespace

bool is_moe_layer(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  return document.is_object() && document.contains("workload") && document.at("workload").is_object() &&
         document.at("workload").contains("moe_layer");
}

MoeLayerScenario load_moe_layer(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  JsonObject o(document, path);
  MoeLayerScenario s;
  s.path = path;
  if (o.has("about")) s.about = o.text("about");
  s.machine = scenario_machine(o);
  if (!s.machine.own_exchange.known())
    o.refuse("machine", s.machine.name +
                            " has no constants of our exchange (calibration/railcast_exchange.json); "
                            "choose h100, or a machine with \"compute_from\": \"h100\"");
  s.costs = scenario_costs(s.machine);
  read_plan(o.object("plan"), s);
  JsonObject workload = o.object("workload");
  read_layer(workload.object("moe_layer"), s.layer);
  workload.finish();
  s.expect = scenario_expectations(o);
  o.finish();
  return s;
}

MoeLayerForecast forecast(const MoeLayerScenario& s) {
  MoeLayerForecast f;
  add(s, "forward", moe_forward(s.layer), f, f.forward_s);
  add(s, "backward", moe_backward(s.layer), f, f.backward_s);
  return f;
}

std::string moe_layer_json(const MoeLayerScenario& s, const MoeLayerForecast& f) {
  nlohmann::ordered_json j;
  for (const auto& [name, value] : figures(f)) j[name] = value;
  for (const auto& line : f.lines)
    j["kernels"].push_back({{"pass", line.pass},
                            {"kernel", line.what},
                            {"shape", line.shape},
                            {"times", line.times},
                            {"each_s", line.cost.total().seconds()},
                            {"provenance", name(line.cost.provenance)}});
  j["expect"] = expected_json(s.expect, figures(f));
  return j.dump(2) + "\n";
}

int run_moe_layer(const RunOptions& o) {
  if (!o.trace.empty()) throw BadInput(o.trace, "", "a MoE layer has no trace; --trace is for training steps");
  const MoeLayerScenario s = load_moe_layer(o.scenario, o.set);
  const MoeLayerForecast f = forecast(s);
  check_expected(s.path, s.expect, figures(f));
  if (!write_json(o.json, moe_layer_json(s, f))) std::cout << text(s, f, use_colour());
  return kForecast;
}

}  // namespace railcast
