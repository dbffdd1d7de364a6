#include <iostream>

#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "cli/verbs.hpp"
#include "model/layer.hpp"
#include "model/train.hpp"
#include "reports/json.hpp"
#include "reports/overlap.hpp"
#include "reports/text.hpp"

namespace railcast {
namespace {

// Sources name files below the scenarios folder: the same text on every machine.
std::string portable(std::string source) {
  const std::string folder = scenarios_folder() + "/";
  for (auto at = source.find(folder); at != std::string::npos; at = source.find(folder))
    source.erase(at, folder.size());
  return source;
}

std::int64_t chosen_layer(const Scenario& s, const std::optional<std::int64_t>& asked) {
  const std::int64_t layers = s.model.num_hidden_layers + s.model.num_nextn_predict_layers;
  if (asked && (*asked < 0 || *asked >= layers))
    throw BadInput("--layer " + std::to_string(*asked), "",
                   "the model has layers 0 to " + std::to_string(layers - 1) + " (MTP modules last)");
  return asked.value_or(s.model.num_hidden_layers - 1);
}

}  // namespace

int explain(const ExplainOptions& o) {
  const Scenario s = load_scenario(o.scenario, o.set);
  check_plan(s.plan, s.model, s.gpus(), s.train.global_batch);
  const std::int64_t layer = chosen_layer(s, o.layer);
  LayerWork w = layer_work(s.model, s.plan, layer, s.train.sequence, s.machine.gpus_per_node);
  load_experts(w, slowest_load(s.train, layer));
  const bool shared =
      s.model.moe(layer) && (s.plan.schedule == Schedule::dualpipe || s.plan.schedule == Schedule::dualpipe_v);
  const std::int64_t comm = std::max<std::int64_t>(s.plan.comm_sms, 1);
  const std::int64_t compute = s.machine.sms - (shared ? s.plan.comm_sms : 0);
  std::vector<ExplainRow> rows;
  const auto add = [&](Kind kind, const Works& works) {
    for (const Work& op : works) {
      const std::int64_t sms = is_collective(op.shape) ? comm : compute;
      const Cost c = s.costs->cost(op.shape, sms);
      rows.push_back({name(kind), op.what + (op.recomputed ? " (recomputed)" : ""), describe(op.shape), flops(op.shape),
                      hbm_bytes(op.shape), sms, c.total(), c.provenance, portable(c.source)});
    }
  };
  add(Kind::attn_f, w.attn_f), add(Kind::dispatch_f, w.dispatch_f), add(Kind::mlp_f, w.mlp_f);
  add(Kind::combine_f, w.combine_f), add(Kind::combine_b, w.combine_b), add(Kind::mlp_b, w.mlp_b);
  add(Kind::mlp_w, w.mlp_w), add(Kind::dispatch_b, w.dispatch_b), add(Kind::attn_b, w.attn_b);
  add(Kind::attn_w, w.attn_w);
  const Forecast f = forecast(s);
  const auto overlapped = slowdowns(f.step, f.trace, layer);
  if (write_json(o.json, explain_json(rows, overlapped))) return kForecast;
  const std::string pairs = slowdowns_text(overlapped, f.metrics.layer_pair_s);
  std::cout << explain_text(rows, use_colour()) << (pairs.empty() ? "" : "\n" + pairs);
  return kForecast;
}

}  // namespace railcast
