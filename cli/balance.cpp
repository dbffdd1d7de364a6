#include "cli/balance.hpp"

#include <algorithm>
#include <iostream>
#include <numeric>
#include <stdexcept>

#include "cli/load_routing.hpp"
#include "cli/load_scenario.hpp"
#include "cli/parallel.hpp"
#include "reports/format.hpp"

namespace railcast {
namespace {

constexpr std::size_t kMostAges = 8;

// The scenario's model on `gpus` GPUs as one expert-parallel group, attention data-parallel.
Scenario forward_scenario(const Scenario& from, const BalanceOptions& o) {
  Scenario s = from;
  s.plan.pp = s.plan.vp = s.plan.tp = s.plan.cp = s.plan.etp = s.plan.micro_batch = 1;
  s.plan.ep = o.gpus, s.plan.dp = 0;
  s.nodes = (o.gpus + s.machine.gpus_per_node - 1) / s.machine.gpus_per_node, s.gpus_used = o.gpus;
  s.train = {o.tokens, o.gpus};
  return s;
}

std::vector<Routing> windows_of(const BalanceOptions& o, const Scenario& s) {
  std::vector<Routing> all;
  for (const std::string& file : o.counts)
    for (const Routing& r : load_routing(file, o.token_ids, s.model, o.tokens * o.gpus))
      all.push_back(by_moe_layer(r, s.model));
  return all;
}

double window_seconds(const BalanceOptions& o) {
  try {
    return o.window.empty() ? 0 : parse_quantity(o.window, Dimension::time);
  } catch (const std::invalid_argument& e) {
    throw BadInput("--window " + o.window, "", e.what());
  }
}

void check_memory(const Scenario& s, const PlacementSpec& p) {
  const double needed = placed_weight_bytes(s, p), memory = s.machine.memory.value();
  if (needed <= memory) return;
  const double per_expert = expert_bytes(s) * static_cast<double>(p.gpus);
  throw BadInput("--redundant", "",
                 std::to_string(p.slots - s.model.n_routed_experts) + " redundant experts need " + bytes_text(needed) +
                     " of weights per GPU, of " + bytes_text(memory) + "; use fewer, or more GPUs (" +
                     bytes_text(per_expert / static_cast<double>(p.gpus)) + " an expert and layer)");
}

PlacementRow row(const std::string& name, Placement placement, const BalanceStudy& b, const Routing& r,
                 const LoadModel& model, const PlacementSpec& spec, bool bounded) {
  PlacementRow out;
  out.name = name, out.placement = std::move(placement);
  out.traffic = layer_traffic(model, r, out.placement);
  out.pass = forward_pass(b.scenario, layer_loads(b.scenario.model, out.traffic));
  for (std::int64_t l = 0; bounded && l < r.counts.layers; ++l) {
    const auto loads = gpu_loads(r.counts.row(l), out.placement.row(l), spec.gpus);
    out.gap.push_back(*std::ranges::max_element(loads) / lower_bound(r.counts.row(l), spec) - 1);
  }
  return out;
}

void place_all(BalanceStudy& b, const Routing& r) {
  const LoadModel model = load_model(b.scenario);
  const auto add = [&](const char* name, const char* policy, const PlacementSpec& spec, bool bounded) {
    b.rows.push_back(row(name, place(policy, r, spec), b, r, model, spec, bounded));
  };
  PlacementSpec none = b.spec;
  none.slots = b.scenario.model.n_routed_experts;
  add("contiguous", "contiguous", none, none.slots == b.spec.slots);
  add("EPLB", "eplb", b.spec, true);
  add("improved", "improved", b.spec, true);
  if (none.slots != b.spec.slots) add("EPLB, no replicas", "eplb", none, false);
  const Placement& from = b.rows[0].placement;
  for (std::size_t i = 1; i < b.rows.size(); ++i) {
    PlacementRow& to = b.rows[i];
    PlacementSpec spec = b.spec;
    spec.slots = to.placement.slots;
    to.move = move_cost(b.scenario, from, relabelled(from, to.placement, spec), to.pass.exchange_s / to.pass.total());
  }
  for (std::int64_t l = 0; l < r.counts.layers; ++l) {
    const auto counts = r.counts.row(l);
    const double mean = std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(b.spec.gpus);
    b.bound.push_back(lower_bound(counts, b.spec) / mean);
  }
}

// Ages of the placement against the loads that it meets; from them how long to keep it.
void follow_drift(BalanceStudy& b, const std::vector<Routing>& windows) {
  const auto made = [&](const char* policy) {
    std::vector<Placement> all;
    for (const Routing& r : windows) all.push_back(place(policy, r, b.spec));
    return all;
  };
  b.unbalanced_s = pass_by_age(b.scenario, windows, made("contiguous"), 0).front();
  if (windows.size() < 2) return;
  const auto placements = made("eplb");
  b.pass_by_age = pass_by_age(b.scenario, windows, placements, kMostAges);
  // Between two of EPLB's own placements, as a running system moves.
  const PassTime& pass = b.rows[1].pass;
  const MoveCost move = move_cost(b.scenario, placements[0], relabelled(placements[0], placements[1], b.spec),
                                  pass.exchange_s / pass.total());
  if (b.window_s > 0)
    b.interval = best_interval(b.pass_by_age, b.unbalanced_s, move.paused_s, b.window_s / pass.total());
}

void forecast_steps(BalanceStudy& b, const Scenario& train, const Routing& r) {
  const LoadModel model = load_model(train);
  const auto step = [&](const char* policy) {
    Scenario s = train;
    s.train.expert_loads.clear(), s.train.expert_imbalance = 1;
    if (policy != nullptr)
      s.train.expert_loads = layer_loads(s.model, layer_traffic(model, r, place(policy, r, placement_spec(train, 0))));
    return forecast(s).metrics.step_time_s;
  };
  const char* policies[] = {"contiguous", "eplb", nullptr};  // the quick one last
  b.steps = {{"balanced", 0}, {"contiguous", 0}, {"EPLB, no replicas", 0}};
  constexpr int threads = 2;  // a loaded step takes a gigabyte
  in_parallel(3, threads, [&](std::size_t i) { b.steps[(i + 1) % 3].step_s = step(policies[i]); });
}

}  // namespace

BalanceStudy study(const BalanceOptions& o) {
  const std::string preset = scenarios_folder() + "/train/deepseek-v3-2048-h800.json";
  const Scenario train = load_scenario(o.scenario.empty() ? preset : o.scenario, o.set);
  BalanceStudy b;
  b.scenario = forward_scenario(train, o);
  b.window_s = window_seconds(o);
  const auto windows = windows_of(o, b.scenario);
  const Routing& first = windows.front();
  b.source = first.source;
  b.spec = placement_spec(b.scenario, o.redundant);
  for (std::int64_t l = 0; l < b.scenario.model.num_hidden_layers; ++l)
    if (b.scenario.model.moe(l)) b.layer.push_back(l);
  try {
    check(b.spec, b.scenario.model.n_routed_experts);
    check_memory(b.scenario, b.spec);
    b.balanced = forward_pass(b.scenario, {});
    place_all(b, first);
    follow_drift(b, windows);
    if (o.step) forecast_steps(b, train, first);
    if (o.bias_steps > 0) {
      std::vector<double> bias, shares(first.counts.row(0).begin(), first.counts.row(0).end());
      const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
      for (double& x : shares) x /= sum;
      BiasUpdate update;
      update.steps = o.bias_steps;
      b.bias = balance_by_bias(router_of(b.scenario.model), shares, update, 0, bias);
    }
  } catch (const std::invalid_argument& e) {
    throw BadInput("balance " + o.counts.front(), "", e.what());
  }
  return b;
}

int balance(const BalanceOptions& o) {
  const BalanceStudy b = study(o);
  if (!write_json(o.json, balance_json(b))) std::cout << balance_text(b, o);
  return kForecast;
}

}  // namespace railcast
