#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/balance.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

template <class Get>
double most(const std::vector<RankTraffic>& ranks, const Get& get) {
  double x = 0;
  for (const RankTraffic& r : ranks) x = std::max(x, get(r));
  return x;
}
double nic_in(const LayerTraffic& t) {
  return most(t.rank, [](const RankTraffic& r) { return r.nic_in; });
}
double nvlink_in(const LayerTraffic& t) {
  return most(t.rank, [](const RankTraffic& r) { return r.nvlink_in; });
}

template <class Get>
std::pair<double, double> mean_and_worst(const std::vector<LayerTraffic>& layers, const Get& get) {
  double sum = 0, worst = 0;
  for (const LayerTraffic& t : layers) sum += get(t), worst = std::max(worst, get(t));
  return {sum / static_cast<double>(layers.size()), worst};
}

double mean_of(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

std::string ratio(double x) { return significant(x, 4); }

/// EPLB's row is what the answer is about; `improved` where it is better by a thousandth.
const PlacementRow& chosen(const BalanceStudy& b) {
  return b.rows[2].pass.total() < b.rows[1].pass.total() * 0.999 ? b.rows[2] : b.rows[1];
}

double gain(const BalanceStudy& b, const PlacementRow& r) { return b.rows[0].pass.total() - r.pass.total(); }

/// Forward passes after which a pause for the move is earned back; infinite where nothing is gained.
double break_even(const BalanceStudy& b, const PlacementRow& r) {
  const double gained = gain(b, r);
  return gained > 0 ? r.move.paused_s / gained : INFINITY;
}

std::string answer(const BalanceStudy& b) {
  const PlacementRow& r = chosen(b);
  const double now = b.rows[0].pass.total(), then = r.pass.total();
  const std::string change =
      duration_text(now) + " -> " + duration_text(then) + " a forward pass, " + percent_text(then / now - 1);
  if (gain(b, r) <= now * 1e-3) return "worth it: no. " + r.name + " gains nothing that shows (" + change + ").\n";
  const double passes = break_even(b, r);
  std::string text = "worth it: yes. " + r.name + " with " +
                     std::to_string(b.spec.slots - b.scenario.model.n_routed_experts) +
                     " redundant experts: " + change + ".\n" + "break-even: moving the experts pauses serving for " +
                     duration_text(r.move.paused_s) + ", which " + std::to_string(std::llround(std::ceil(passes))) +
                     " passes (" + duration_text(passes * then) + ") earn back.\n";
  if (b.interval)
    return text + "how often: every " + std::to_string(b.interval->windows) + " windows (" +
           duration_text(static_cast<double>(b.interval->windows) * b.window_s) + "): a pass then costs " +
           duration_text(b.interval->pass_s) + " on the average, moves included.\n";
  if (b.window_s > 0 && !b.pass_by_age.empty())
    return text + "how often: never; these loads change faster than a placement of the last window follows.\n";
  return text + "how often: not below the break-even; every " + duration_text(100 * passes * then) +
         " the moves cost 1 % of the gain. How fast loads drift takes counts of two windows or more, and --window.\n";
}

std::string placements(const BalanceStudy& b) {
  Table t("lrrrrrrrrr");
  t.line("placements: busiest over mean (mean and worst of layers), forward pass of " +
         std::to_string(b.scenario.train.sequence) + " tokens a GPU");
  t.row({"", "GPU", "worst", "node", "gap to bound", "pass", "exchanges", "experts", "straggler cost", "moves"});
  const auto line = [&](const std::string& name, const PassTime& p, std::vector<std::string> front, std::string moved) {
    front.insert(front.begin(), name);
    for (double x : {p.total(), p.exchange_s, p.experts_s, p.total() - b.balanced.total()})
      front.push_back(duration_text(x));
    front.push_back(std::move(moved));
    t.row(front);
  };
  for (const PlacementRow& r : b.rows) {
    const auto gpu = mean_and_worst(r.traffic, [](const LayerTraffic& x) { return x.rank_imbalance; });
    const auto node = mean_and_worst(r.traffic, [](const LayerTraffic& x) { return x.node_imbalance; });
    line(r.name, r.pass,
         {ratio(gpu.first), ratio(gpu.second), ratio(node.first), r.gap.empty() ? "" : percent_text(mean_of(r.gap))},
         r.move.experts > 0 ? bytes_text(r.move.bytes) : "");
  }
  line("lower bound", b.balanced, {ratio(mean_of(b.bound)), ratio(*std::ranges::max_element(b.bound)), "", ""}, "");
  t.line("the last line's times are those of balanced routing without replicas");
  return t.text();
}

std::string move_lines(const BalanceStudy& b) {
  Table t("lrrrrrr");
  t.line("moving from contiguous, GPUs renumbered so that most experts stay");
  t.row({"", "experts", "bytes", "most into a GPU", "paused", "in background", "break-even"});
  for (const PlacementRow& r : b.rows) {
    if (&r == &b.rows[0]) continue;
    const double passes = break_even(b, r);
    t.row({r.name, std::to_string(r.move.experts), bytes_text(r.move.bytes),
           bytes_text(static_cast<double>(r.move.most_into_a_gpu) * expert_bytes(b.scenario)),
           duration_text(r.move.paused_s), duration_text(r.move.background_s),
           std::isfinite(passes) ? significant(passes, 3) + " passes" : "never"});
  }
  t.line("in background: what the passes lose in all while the bytes share their ports");
  return t.text();
}

std::string layers(const BalanceStudy& b) {
  Table t("rrrrrrrrrr");
  t.line("layers: busiest over mean; bytes into the busiest port in a dispatch, contiguous -> " + chosen(b).name);
  t.row({"layer", "expert", "node", "GPU", "GPU then", "bound", "NIC in", "then", "NVLink in", "then"});
  const auto &before = b.rows[0].traffic, &after = chosen(b).traffic;
  for (std::size_t l = 0; l < before.size(); ++l)
    t.row({std::to_string(b.layer[l]), ratio(before[l].expert_imbalance), ratio(before[l].node_imbalance),
           ratio(before[l].rank_imbalance), ratio(after[l].rank_imbalance), ratio(b.bound[l]),
           bytes_text(nic_in(before[l])), bytes_text(nic_in(after[l])), bytes_text(nvlink_in(before[l])),
           bytes_text(nvlink_in(after[l]))});
  return t.text();
}

std::size_t shown_layer(const BalanceStudy& b, const BalanceOptions& o) {
  const auto& t = b.rows[0].traffic;
  if (!o.layer)
    return static_cast<std::size_t>(std::ranges::max_element(t, {}, &LayerTraffic::rank_imbalance) - t.begin());
  const auto found = std::ranges::find(b.layer, *o.layer);
  if (found == b.layer.end())
    throw BadInput(
        "--layer " + std::to_string(*o.layer), "",
        "has no experts; expected " + std::to_string(b.layer.front()) + " to " + std::to_string(b.layer.back()));
  return static_cast<std::size_t>(found - b.layer.begin());
}

std::string ranks(const BalanceStudy& b, const BalanceOptions& o) {
  const std::size_t l = shown_layer(b, o);
  Table t("rrrrrrrrrrr");
  t.line("GPUs of layer " + std::to_string(b.layer[l]) + ", contiguous | " + chosen(b).name +
         ": (token, expert) rows, tokens in, bytes of a dispatch");
  t.row({"GPU", "rows", "tokens", "NIC in", "NVLink in", "NVLink out", "rows", "tokens", "NIC in", "NVLink in",
         "NVLink out"});
  const auto &before = b.rows[0].traffic[l].rank, &after = chosen(b).traffic[l].rank;
  for (std::size_t i = 0; i < before.size(); ++i) {
    std::vector<std::string> cells{std::to_string(i)};
    for (const RankTraffic& r : {before[i], after[i]}) {
      cells.push_back(std::to_string(std::llround(r.rows))), cells.push_back(std::to_string(std::llround(r.tokens)));
      for (double x : {r.nic_in, r.nvlink_in, r.nvlink_out}) cells.push_back(bytes_text(x));
    }
    t.row(cells);
  }
  return t.text();
}

std::string drift(const BalanceStudy& b) {
  if (b.pass_by_age.empty()) return {};
  Table t("rrr");
  t.line("drift: forward pass under EPLB by the age of its counts, in windows; contiguous " +
         duration_text(b.unbalanced_s));
  t.row({"age", "pass", "against fresh"});
  for (std::size_t a = 0; a < b.pass_by_age.size(); ++a)
    t.row({std::to_string(a), duration_text(b.pass_by_age[a]), percent_text(b.pass_by_age[a] / b.pass_by_age[0] - 1)});
  return t.text();
}

std::string steps(const BalanceStudy& b) {
  if (b.steps.empty()) return {};
  Table t("lrrr");
  t.line("training step of the scenario under these loads (no replicas: their gradients would have to be summed)");
  t.row({"", "step", "straggler cost", "of balanced"});
  for (const StepRow& r : b.steps)
    t.row({r.name, duration_text(r.step_s), duration_text(r.step_s - b.steps[0].step_s),
           percent_text(r.step_s / b.steps[0].step_s - 1)});
  return t.text();
}

std::string bias(const BalanceStudy& b) {
  if (b.bias.empty()) return {};
  Table t("rr");
  t.line("bias update, gamma 0.001, 1024 tokens a step, layer " + std::to_string(b.layer[0]) +
         ": busiest expert over mean");
  t.row({"step", "imbalance"});
  const std::size_t stride = std::max<std::size_t>(1, b.bias.size() / 10);
  for (std::size_t i = 0; i < b.bias.size(); i += stride)
    t.row({std::to_string(b.bias[i].step), ratio(b.bias[i].imbalance)});
  if ((b.bias.size() - 1) % stride != 0) t.row({std::to_string(b.bias.back().step), ratio(b.bias.back().imbalance)});
  return t.text();
}

nlohmann::ordered_json of_ranks(const LayerTraffic& t) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const RankTraffic& r : t.rank)
    all.push_back({{"rows", r.rows},
                   {"padded_rows", r.padded},
                   {"tokens", r.tokens},
                   {"nic_out_bytes", r.nic_out},
                   {"nic_in_bytes", r.nic_in},
                   {"nvlink_out_bytes", r.nvlink_out},
                   {"nvlink_in_bytes", r.nvlink_in}});
  return all;
}

nlohmann::ordered_json of_placement(const BalanceStudy& b, const PlacementRow& r) {
  nlohmann::ordered_json j;
  j["name"] = r.name;
  j["pass_s"] = r.pass.total(), j["exchange_s"] = r.pass.exchange_s, j["experts_s"] = r.pass.experts_s;
  j["straggler_s"] = r.pass.total() - b.balanced.total();
  if (!r.gap.empty()) j["gap"] = mean_of(r.gap);
  if (&r != &b.rows[0]) {
    j["moved_experts"] = r.move.experts, j["moved_bytes"] = r.move.bytes;
    j["paused_s"] = r.move.paused_s, j["background_s"] = r.move.background_s;
    if (gain(b, r) > 0) j["break_even_passes"] = break_even(b, r);
  }
  for (std::size_t l = 0; l < r.traffic.size(); ++l) {
    const LayerTraffic& t = r.traffic[l];
    const auto slots = r.placement.row(static_cast<std::int64_t>(l));
    j["layers"].push_back({{"layer", b.layer[l]},
                           {"expert_imbalance", t.expert_imbalance},
                           {"node_imbalance", t.node_imbalance},
                           {"rank_imbalance", t.rank_imbalance},
                           {"exchange", t.load.exchange},
                           {"physical_to_logical", std::vector<std::int32_t>(slots.begin(), slots.end())},
                           {"ranks", of_ranks(t)}});
  }
  return j;
}

}  // namespace

std::string balance_text(const BalanceStudy& b, const BalanceOptions& o) {
  std::string text = answer(b);
  text += b.scenario.model.model_type + " on " + std::to_string(b.spec.gpus) + " " + b.scenario.machine.name + ", " +
          std::to_string(b.spec.per_gpu()) + " experts a GPU and layer, " +
          (b.spec.hierarchical() ? "groups stay in nodes" : "experts anywhere") + "; loads: " + b.source + "\n";
  for (const std::string& part : {placements(b), move_lines(b), steps(b), drift(b), bias(b), layers(b), ranks(b, o)})
    if (!part.empty()) text += "\n" + part;
  return text;
}

std::string balance_json(const BalanceStudy& b) {
  nlohmann::ordered_json j;
  const PlacementRow& r = chosen(b);
  j["worth_it"] = gain(b, r) > b.rows[0].pass.total() * 1e-3, j["placement"] = r.name;
  j["gain_s"] = gain(b, r), j["balanced_pass_s"] = b.balanced.total();
  if (gain(b, r) > 0) {
    j["break_even_passes"] = break_even(b, r), j["break_even_s"] = break_even(b, r) * r.pass.total();
  }
  if (b.interval) j["interval_windows"] = b.interval->windows, j["interval_pass_s"] = b.interval->pass_s;
  j["source"] = b.source, j["gpus"] = b.spec.gpus, j["slots"] = b.spec.slots, j["hierarchical"] = b.spec.hierarchical();
  j["lower_bound"] = b.bound;
  for (const PlacementRow& p : b.rows) j["placements"].push_back(of_placement(b, p));
  if (!b.pass_by_age.empty()) j["pass_by_age_s"] = b.pass_by_age;
  for (const StepRow& s : b.steps) j["steps"].push_back({{"name", s.name}, {"step_time_s", s.step_s}});
  for (const BiasStep& s : b.bias) j["bias"].push_back(s.imbalance);
  return j.dump(2) + "\n";
}

}  // namespace railcast
