// Communication SMs and chunks: a curve over SMs, then a grid of chunks where the curve is best.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/all_to_all.hpp"
#include "cli/exchange.hpp"
#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "cli/parallel.hpp"
#include "model/layer.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kFewest = 4, kMost = 40;  // SMs tried
constexpr double kSame = 0.001;                  // over the shortest: not told apart from it
constexpr double kEnough = 0.02;                 // over the best: more SMs than these buy nothing

/// What is exchanged, and the step it is exchanged in (not of an all-to-all alone).
struct Subject {
  std::string path, name;
  Machine machine;
  Dispatch shape;
  GroupScore router = GroupScore::top2_sum;
  std::int64_t own_sms = 0;  ///< the scenario's
  std::optional<Scenario> step;
};

struct SmPoint {
  std::int64_t sms = 0;
  double dispatch_s = 0, combine_s = 0, layer_pair_s = 0, step_time_s = 0;
  double value(bool step) const { return step ? step_time_s : dispatch_s + combine_s; }
};
struct ChunkPoint {
  ExchangeChunks chunks;
  double seconds = 0;
};
struct Tuning {
  std::vector<SmPoint> curve;
  std::size_t best = 0;    ///< the fewest SMs within 0.1 % of the shortest
  std::size_t enough = 0;  ///< the fewest SMs within 2 % of it
  std::vector<ChunkPoint> dispatch, combine;
  std::size_t best_dispatch = 0, best_combine = 0;
  double with_chunks = 0;  ///< value at the best SMs with the best chunks
};

Dispatch combined(Dispatch d) {
  d.dtype = Dtype::bf16;
  return d;
}

double exchange_seconds(const Subject& s, bool combine, std::int64_t sms, const ExchangeChunks& chunks) {
  const Dispatch d = combine ? combined(s.shape) : s.shape;
  return normal_exchange(s.machine, s.machine.exchange, {d, combine, s.router, sms, chunks}).total.seconds();
}

SmPoint point(const Subject& s, std::int64_t sms) {
  SmPoint p{sms, 0, 0, 0, 0};
  const auto chunks = [&](bool combine) { return default_chunks(s.shape.ranks, s.machine.gpus_per_node, combine); };
  p.dispatch_s = exchange_seconds(s, false, sms, chunks(false));
  p.combine_s = exchange_seconds(s, true, sms, chunks(true));
  if (!s.step) return p;
  Scenario changed = *s.step;
  changed.plan.comm_sms = sms;
  const Forecast f = forecast(changed);
  p.layer_pair_s = f.metrics.layer_pair_s, p.step_time_s = f.metrics.step_time_s;
  return p;
}

std::vector<ExchangeChunks> chunk_choices(const Subject& s, bool combine) {
  const ExchangeChunks usual = default_chunks(s.shape.ranks, s.machine.gpus_per_node, combine);
  const bool one_node = s.shape.ranks <= s.machine.gpus_per_node;
  std::vector<ExchangeChunks> all;
  for (std::int64_t ib : {4, 8, 12, 16, 20, 24, 32})
    for (std::int64_t nvlink : {1, 2, 4, 8, 16, 32}) {
      if (one_node && ib != 4) continue;
      ExchangeChunks c = usual;
      c.nvlink = nvlink, c.ib = one_node ? usual.ib : ib;
      all.push_back(c);
    }
  return all;
}

std::vector<ChunkPoint> chunk_points(const Subject& s, bool combine, std::int64_t sms, int threads) {
  const auto choices = chunk_choices(s, combine);
  std::vector<ChunkPoint> all(choices.size());
  in_parallel(all.size(), threads, [&](std::size_t i) {
    all[i] = {choices[i], exchange_seconds(s, combine, sms, choices[i])};
  });
  return all;
}

template <class Points, class Value>
std::size_t least(const Points& points, const Value& value) {
  return static_cast<std::size_t>(std::ranges::min_element(points, {}, value) - points.begin());
}

double with_chunks(const Subject& s, const Tuning& t) {
  if (!s.step) return t.dispatch[t.best_dispatch].seconds + t.combine[t.best_combine].seconds;
  Scenario changed = *s.step;
  changed.plan.comm_sms = t.curve[t.best].sms;
  changed.machine.exchange.dispatch = t.dispatch[t.best_dispatch].chunks;
  changed.machine.exchange.combine = t.combine[t.best_combine].chunks;
  changed.costs = scenario_costs(changed.machine);
  return forecast(changed).metrics.step_time_s;
}

Tuning tuned(const Subject& s, int threads) {
  Tuning t;
  const std::int64_t most = std::min(kMost, s.machine.sms - (s.step ? 2 : 0));
  for (std::int64_t sms = kFewest; sms <= most; sms += 2) t.curve.push_back({sms, 0, 0, 0, 0});
  in_parallel(t.curve.size(), threads, [&](std::size_t i) { t.curve[i] = point(s, t.curve[i].sms); });
  const auto value = [&](const SmPoint& p) { return p.value(s.step.has_value()); };
  const double shortest = value(t.curve[least(t.curve, value)]);
  while (value(t.curve[t.best]) > (1 + kSame) * shortest) ++t.best;
  while (value(t.curve[t.enough]) > (1 + kEnough) * shortest) ++t.enough;
  const std::int64_t sms = t.curve[s.step ? t.best : t.enough].sms;
  t.dispatch = chunk_points(s, false, sms, threads), t.combine = chunk_points(s, true, sms, threads);
  t.best_dispatch = least(t.dispatch, &ChunkPoint::seconds), t.best_combine = least(t.combine, &ChunkPoint::seconds);
  t.with_chunks = with_chunks(s, t);
  return t;
}

// ---- what is tuned ----

Subject subject_of(const AllToAllScenario& s) {
  if (s.low_latency)
    throw BadInput(s.path, "/workload/all_to_all/mode",
                   "low-latency kernels use all SMs and no chunks: nothing to tune; use \"normal\"");
  if (s.zero_copy || s.own)
    throw BadInput(s.path, "/workload/all_to_all/kernels",
                   "the second version and railcast's own kernels have no chunks to tune; use \"v1\"");
  return {s.path, s.about.empty() ? s.path : s.about, s.machine, s.shape, s.router, s.comm_sms, std::nullopt};
}

Subject subject_of(const Scenario& s) {
  check_plan(s.plan, s.model, s.gpus(), s.train.global_batch);
  const std::int64_t last = s.model.num_hidden_layers - 1;
  LayerWork w = layer_work(s.model, s.plan, last, s.train.sequence, s.machine.gpus_per_node);
  load_experts(w, slowest_load(s.train, last));
  if (w.dispatch_f.empty())
    throw BadInput(s.path, "/plan/ep", "without experts on other ranks there is no dispatch to tune; raise plan.ep");
  if (!s.machine.exchange.known())
    throw BadInput(s.path, "/machine", s.machine.name + " has no constants of the dispatch kernels to tune by");
  Dispatch d = std::get<Dispatch>(w.dispatch_f.front().shape);
  d.notify = false;
  return {s.path, s.about.empty() ? s.path : s.about, s.machine, d, GroupScore::top2_sum, s.plan.comm_sms, s};
}

// ---- reports ----

std::string over(double value, double best) {
  return (value > 1.0005 * best ? "+" : "") + percent_text(value / best - 1);
}

std::string chunk_name(const Subject& s, const ExchangeChunks& c) {
  const std::string nvlink = "NVLink chunk " + std::to_string(c.nvlink);
  return s.shape.ranks <= s.machine.gpus_per_node ? nvlink : "IB chunk " + std::to_string(c.ib) + ", " + nvlink;
}

std::string curve_text(const Subject& s, const Tuning& t) {
  const bool step = s.step.has_value();
  const double best = t.curve[t.best].value(step);
  Table table(step ? "rrrrrrrl" : "rrrrrl");
  std::vector<std::string> head{"SMs", "channels", "dispatch", "combine"};
  if (step) head.insert(head.end(), {"layer pair", "step"});
  head.insert(head.end(), {"over best", ""});
  table.row(head);
  for (std::size_t i = 0; i < t.curve.size(); ++i) {
    const SmPoint& p = t.curve[i];
    std::vector<std::string> row{std::to_string(p.sms), std::to_string(p.sms / 2), duration_text(p.dispatch_s),
                                 duration_text(p.combine_s)};
    if (step) row.insert(row.end(), {duration_text(p.layer_pair_s), duration_text(p.step_time_s)});
    std::string note = i == t.best ? "best" : i == t.enough ? "fewest within 2 %" : "";
    if (p.sms == s.own_sms) note += std::string(note.empty() ? "" : ", ") + "the scenario's";
    row.insert(row.end(), {over(p.value(step), best), note});
    table.row(row);
  }
  return table.text();
}

// One line of the grid in each direction through its best point.
std::string chunk_text(const Subject& s, const std::vector<ChunkPoint>& points, std::size_t best, const char* op) {
  Table table("lrrl");
  table.line(std::string(op) + " by chunk, tokens");
  const ExchangeChunks at = points[best].chunks;
  for (const ChunkPoint& p : points) {
    if (p.chunks.ib != at.ib && p.chunks.nvlink != at.nvlink) continue;
    table.row({chunk_name(s, p.chunks), duration_text(p.seconds), over(p.seconds, points[best].seconds),
               p.chunks == at ? "shortest" : ""});
  }
  return table.text();
}

std::string text(const Subject& s, const Tuning& t, bool colour) {
  const bool step = s.step.has_value();
  const SmPoint& best = t.curve[t.best];
  const SmPoint& chosen = t.curve[step ? t.best : t.enough];
  std::string out = inked(s.name, Ink::bold, colour) + "\n" + std::to_string(chosen.sms) + " communication SMs (" +
                    std::to_string(chosen.sms / 2) + " channels): dispatch " +
                    chunk_name(s, t.dispatch[t.best_dispatch].chunks) + "; combine " +
                    chunk_name(s, t.combine[t.best_combine].chunks) + "\n" +
                    (step ? "the step takes " : "dispatch and combine take ") + duration_text(t.with_chunks) +
                    " with these chunks, " + duration_text(chosen.value(step)) + " with DeepEP's own";
  if (!step)
    out += "; the shortest, " + duration_text(best.value(step)) + ", needs " + std::to_string(best.sms) + " SMs";
  return out + "\n\n" + curve_text(s, t) + "\n" + chunk_text(s, t.dispatch, t.best_dispatch, "dispatch") + "\n" +
         chunk_text(s, t.combine, t.best_combine, "combine");
}

nlohmann::ordered_json chunks_json(const ChunkPoint& p) {
  return {{"ib_chunk", p.chunks.ib}, {"nvlink_chunk", p.chunks.nvlink}, {"time_s", p.seconds}};
}

std::string json(const Subject& s, const Tuning& t) {
  const bool step = s.step.has_value();
  const SmPoint& chosen = t.curve[step ? t.best : t.enough];
  nlohmann::ordered_json j;
  j["objective"] = step ? "step_time_s" : "dispatch_s + combine_s";
  j["best"] = {{"comm_sms", chosen.sms},
               {"channels", chosen.sms / 2},
               {"dispatch", chunks_json(t.dispatch[t.best_dispatch])},
               {"combine", chunks_json(t.combine[t.best_combine])},
               {"value_s", chosen.value(step)},
               {"value_with_chunks_s", t.with_chunks}};
  for (const SmPoint& p : t.curve) {
    nlohmann::ordered_json row{
        {"comm_sms", p.sms}, {"channels", p.sms / 2}, {"dispatch_s", p.dispatch_s}, {"combine_s", p.combine_s}};
    if (step) row["layer_pair_s"] = p.layer_pair_s, row["step_time_s"] = p.step_time_s;
    row["over_best"] = p.value(step) / t.curve[t.best].value(step) - 1;
    j["curve"].push_back(row);
  }
  for (const ChunkPoint& p : t.dispatch) j["dispatch_chunks"].push_back(chunks_json(p));
  for (const ChunkPoint& p : t.combine) j["combine_chunks"].push_back(chunks_json(p));
  return j.dump(2) + "\n";
}

}  // namespace

int tune(const ScenarioOptions& o) {
  if (is_exchange(o.scenario, o.set))
    throw BadInput(o.scenario, "/workload", "messages over a fabric hold no SMs and no chunks: nothing to tune");
  const Subject s = is_all_to_all(o.scenario, o.set) ? subject_of(load_all_to_all(o.scenario, o.set))
                                                     : subject_of(load_scenario(o.scenario, o.set));
  const Tuning t = tuned(s, o.threads);
  if (!write_json(o.json, json(s, t))) std::cout << text(s, t, use_colour());
  return kForecast;
}

}  // namespace railcast
