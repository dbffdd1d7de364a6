#include "cli/load_scenario.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/json.hpp"
#include "cli/load_calibration.hpp"
#include "cli/load_fabric.hpp"
#include "cli/load_fit.hpp"
#include "cli/load_machine.hpp"
#include "cli/load_model.hpp"
#include "cli/load_routing.hpp"
#include "model/exchange_cost.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::array kSchedules{Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb1p,
                                Schedule::zbv,         Schedule::dualpipe,    Schedule::dualpipe_v};
constexpr std::int64_t kMost = 1'000'000;  // of any degree of parallelism, and of nodes

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (Schedule s : kSchedules) names.emplace_back(name(s));
  return names;
}

// ---- overrides ----

json value_of(const std::string& text) {
  json value = json::parse(text, nullptr, false);
  return value.is_discarded() ? json(text) : value;
}

void override_key(json& document, const std::string& setting, const std::string& file) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0)
    throw BadInput("--set " + setting, "", "expected KEY=VALUE, such as plan.ep=32");
  json* at = &document;
  std::string left = setting.substr(0, equals);
  for (auto dot = left.find('.'); dot != std::string::npos; dot = left.find('.')) {
    at = &(*at)[left.substr(0, dot)];
    const bool machine_by_name = at->is_string() && document.contains("machine") && at == &document["machine"];
    if (machine_by_name) *at = json{{"name", *at}};
    left = left.substr(dot + 1);
    if (!at->is_object() && !at->is_null())
      throw BadInput(file, "", "--set " + setting + " goes through a key that is no object");
  }
  (*at)[left] = value_of(setting.substr(equals + 1));
}

// ---- parts ----

Dtype precision(JsonObject& o) {
  const std::string p = o.one_of("precision", {"bf16", "fp8", "fp8_tensor"});
  return p == "bf16" ? Dtype::bf16 : p == "fp8" ? Dtype::fp8_block : Dtype::fp8_tensor;
}

void read_split(JsonObject& o, Plan& p) {
  if (o.raw("split").is_array()) {
    p.split = "list";
    p.split_layers = o.integers("split");
  } else {
    p.split = o.one_of("split", {"balanced", "uniform"});
  }
}

Plan read_plan(JsonObject o) {
  Plan p;
  const auto count = [&](const char* key, std::int64_t& value, std::int64_t least = 1) {
    if (o.has(key)) value = o.integer(key, least, kMost);
  };
  count("pp", p.pp), count("vp", p.vp), count("ep", p.ep), count("etp", p.etp), count("tp", p.tp), count("cp", p.cp);
  count("dp", p.dp), count("micro_batch", p.micro_batch), count("micro_batch_group", p.micro_batch_group);
  count("comm_sms", p.comm_sms, 0);
  if (o.has("zero")) p.zero = o.integer("zero", 0, 3);
  if (o.has("schedule")) {
    const std::string chosen = o.one_of("schedule", schedule_names());
    p.schedule = schedule_named(chosen, o.file());
  }
  if (o.has("context_parallel"))
    p.context_parallel = o.one_of("context_parallel", {"ring", "all_to_all"}) == "ring" ? ContextParallel::ring
                                                                                        : ContextParallel::all_to_all;
  p.precision = precision(o);
  if (o.has("recompute")) p.recompute = o.texts("recompute");
  const std::vector<std::string> known{"rmsnorm", "mla_up", "swiglu", "attention", "layer"};
  for (const std::string& r : p.recompute)
    if (std::ranges::find(known, r) == known.end())
      o.refuse("recompute",
               "\"" + r + "\" is not one of rmsnorm, mla_up, swiglu, attention, layer" + did_you_mean(r, known));
  if (o.has("split")) read_split(o, p);
  o.finish();
  return p;
}

// The rest of the scenario is there: routing depends on the model, the machine and the plan.
void read_train(JsonObject workload, Scenario& s) {
  JsonObject o = workload.object("train");
  TrainWorkload w;
  w.sequence = o.integer("sequence", 1, 1 << 24);
  w.global_batch = o.integer("global_batch", 1, 1 << 24);
  if (o.has("expert_imbalance")) w.expert_imbalance = o.number("expert_imbalance");
  if (!(w.expert_imbalance >= 1 && w.expert_imbalance <= 64))
    o.refuse("expert_imbalance", "expected the largest load over the mean, from 1 to 64");
  s.train = w;
  read_train_routing(o, s);
  o.finish(), workload.finish();
}

// The metric's name ends in its unit.
Expectation read_expectation(JsonObject o) {
  Expectation e;
  e.metric = o.text("metric");
  const bool time = e.metric.ends_with("_s") && !e.metric.ends_with("per_s");
  const bool bytes = e.metric.find("bytes") != std::string::npos && !e.metric.ends_with("per_token");
  if (time || bytes) {
    e.value = o.quantity("value", time ? Dimension::time : Dimension::bytes);
    e.value_text = o.text("value");
  } else {
    e.value = o.number("value");
    e.value_text = o.raw("value").dump();
  }
  e.within = o.quantity("within", Dimension::fraction);
  e.source = o.text("source");
  o.finish();
  return e;
}

std::string model_path(JsonObject& o, const fs::path& scenario) {
  const std::string given = o.text("model");
  for (const fs::path& folder : {scenario.parent_path(), fs::path(scenarios_folder()), fs::path()})
    if (fs::is_regular_file(folder / given)) return (folder / given).string();
  o.refuse("model",
           "no file \"" + given + "\" beside the scenario, in " + scenarios_folder() + " or in the working directory");
}

}  // namespace

std::string scenarios_folder() {
  const char* home = std::getenv("RAILCAST_HOME");
  return (fs::path(home != nullptr ? home : RAILCAST_SOURCE_DIR) / "scenarios").string();
}

std::shared_ptr<const CostModel> scenario_costs(const Machine& m) {
  const bool tables = !m.calibration.empty() && fs::is_directory(m.calibration);
  std::unique_ptr<CostModel> costs = tables ? calibrated(m, load_calibration(m.calibration)) : roofline(m);
  if (!m.fit.empty()) costs = fitted(m, load_fit(m.fit), m.fit, std::move(costs));
  if (!tables && m.fit.empty()) return costs;
  return remembering(steady(std::move(costs), m.steady_ratio));
}

Schedule schedule_named(const std::string& wanted, const std::string& file) {
  for (Schedule s : kSchedules)
    if (wanted == name(s)) return s;
  throw BadInput(file, "/plan/schedule", "no schedule \"" + wanted + "\"" + did_you_mean(wanted, schedule_names()));
}

json scenario_document(const std::string& path, const std::vector<std::string>& overrides) {
  json document = read_json(path);
  for (const std::string& setting : overrides) override_key(document, setting, path);
  return document;
}

std::vector<Expectation> scenario_expectations(JsonObject& o) {
  std::vector<Expectation> all;
  if (o.has("expect"))
    for (JsonObject& e : o.objects("expect")) all.push_back(read_expectation(e));
  return all;
}

[[noreturn]] static void refuse_machine(JsonObject& o, const std::string& given) {
  try {
    load_machine(given, scenarios_folder());
  } catch (const BadInput& e) {
    o.refuse("machine", e.what());
  }
  throw std::logic_error("a machine without a folder was found");
}

Machine scenario_machine(JsonObject& o) {
  const bool changed = o.raw("machine").is_object();
  std::optional<JsonObject> changes;
  if (changed) changes = o.object("machine");
  const std::string given = changed ? changes->text("name") : o.text("machine");
  const fs::path beside = fs::path(o.file()).parent_path() / given;
  const bool is_path = given.find('/') != std::string::npos || given.ends_with(".json");
  const std::string sought = is_path && fs::exists(beside) ? beside.string() : given;
  const bool exists = is_path || fs::is_directory(fs::path(scenarios_folder()) / "machines" / given);
  if (!exists) refuse_machine(o, given);
  Machine m = load_machine(sought, scenarios_folder(), changed ? &*changes : nullptr);
  if (o.has("fabric")) read_fabric(o.object("fabric"), m);
  return m;
}

void check_fabric(const std::string& path, const Machine& m, std::int64_t nodes) {
  try {
    const Fabric checked(fabric_of(m, nodes));
  } catch (const std::invalid_argument& e) {
    throw refused(path, e.what(), "/fabric");
  }
}

Scenario load_scenario(const std::string& path, const std::vector<std::string>& overrides) {
  const json document = scenario_document(path, overrides);
  JsonObject o(document, path);
  Scenario s;
  s.path = path;
  if (o.has("about")) s.about = o.text("about");
  s.model = load_model(model_path(o, path));
  s.machine = scenario_machine(o);
  s.nodes = o.integer("nodes", 1, kMost);
  if (s.nodes > s.machine.max_nodes)
    o.refuse("nodes", std::to_string(s.nodes) + " nodes of " + std::to_string(s.machine.gpus_per_node) +
                          " GPUs; the machine " + s.machine.name + " has at most " +
                          std::to_string(s.machine.max_nodes));
  if (o.has("gpus")) s.gpus_used = o.integer("gpus", 1, s.nodes * s.machine.gpus_per_node);
  check_fabric(path, s.machine, s.nodes);
  s.plan = read_plan(o.object("plan"));
  if (s.plan.comm_sms >= s.machine.sms)
    throw BadInput(
        path, "/plan/comm_sms",
        std::to_string(s.plan.comm_sms) + " leaves no SM for compute; the GPU has " + std::to_string(s.machine.sms));
  read_train(o.object("workload"), s);
  s.expect = scenario_expectations(o);
  o.finish();
  s.costs = scenario_costs(s.machine);
  return s;
}

}  // namespace railcast
