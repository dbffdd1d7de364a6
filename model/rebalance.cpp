#include "model/rebalance.hpp"

#include <algorithm>
#include <map>

#include "model/chunk.hpp"
#include "model/weights.hpp"

namespace railcast {
namespace {

double seconds(const Scenario& s, const Works& works, std::int64_t sms) {
  Time sum;
  for (const Part& p : cost_parts(works, *s.costs, sms)) sum += p.cost.latency + p.cost.work;
  return sum.seconds();
}

}  // namespace

PassTime forward_pass(const Scenario& s, const std::vector<LayerLoad>& loads) {
  PassTime t;
  std::map<bool, double> attention;  // alike in all layers, but for the gate
  const std::int64_t comm = std::clamp<std::int64_t>(s.plan.comm_sms, 1, s.machine.sms);
  for (std::int64_t l = 0; l < s.model.num_hidden_layers; ++l) {
    LayerWork w = layer_work(s.model, s.plan, l, s.train.sequence, s.machine.gpus_per_node);
    const bool moe = s.model.moe(l);
    if (!attention.contains(moe)) attention[moe] = seconds(s, w.attn_f, s.machine.sms);
    t.attention_s += attention[moe];
    if (const auto i = static_cast<std::size_t>(l); moe && i < loads.size() && !loads[i].rows.empty())
      load_experts(w, {loads[i].most_rows(), loads[i].exchange, loads[i].experts});
    t.exchange_s += seconds(s, w.dispatch_f, comm) + seconds(s, w.combine_f, comm);
    (moe ? t.experts_s : t.attention_s) += seconds(s, w.mlp_f, s.machine.sms);
  }
  return t;
}

Routing by_moe_layer(const Routing& r, const Transformer& t) {
  Routing out{{0, r.counts.experts, {}}, {}, r.source};
  const auto rows = rows_by_layer(t, r.counts.layers);
  for (std::int64_t l = 0; l < t.num_hidden_layers; ++l) {
    const std::int64_t row = rows[static_cast<std::size_t>(l)];
    if (row < 0) continue;
    const auto counts = r.counts.row(row);
    out.counts.count.insert(out.counts.count.end(), counts.begin(), counts.end());
    ++out.counts.layers;
    if (!r.routes.empty()) out.routes.push_back(r.routes[static_cast<std::size_t>(row)]);
  }
  return out;
}

double expert_bytes(const Scenario& s) {
  const double n = 3 * static_cast<double>(s.model.hidden_size * s.model.moe_intermediate_size);
  const bool fp8 = s.plan.precision == Dtype::fp8_block || s.plan.precision == Dtype::fp8_tensor;
  return fp8 ? n * (1 + 4.0 / (128 * 128)) : 2 * n;
}

double placed_weight_bytes(const Scenario& s, const PlacementSpec& p) {
  double experts = 0, others = 0;
  const double per_element =
      expert_bytes(s) / (3 * static_cast<double>(s.model.hidden_size * s.model.moe_intermediate_size));
  for (std::int64_t l = 0; l < s.model.num_hidden_layers; ++l) {
    const Weights w = layer_weights(s, l);
    experts += s.model.moe(l) ? static_cast<double>(p.per_gpu()) * expert_bytes(s) : 0;
    others += w.dense * per_element + 2 * w.exact;
  }
  return experts + others;
}

MoveCost move_cost(const Scenario& s, const Placement& from, const Placement& to, double exchange_share) {
  const Moves m = moves(from, to, s.machine.gpus_per_node, expert_bytes(s));
  MoveCost c{m.experts, m.most_into_a_gpu, static_cast<double>(m.experts) * expert_bytes(s), 0, 0};
  c.paused_s = deliver(Fabric(fabric_of(s.machine, s.nodes)), m.messages).makespan.seconds();
  c.background_s = c.paused_s * exchange_share;
  return c;
}

std::vector<double> pass_by_age(const Scenario& s, const std::vector<Routing>& windows,
                                const std::vector<Placement>& made, std::size_t most) {
  const LoadModel model = load_model(s);
  std::vector<double> mean;
  for (std::size_t age = 0; age <= std::min(most, windows.size() - 1); ++age) {
    double sum = 0;
    for (std::size_t w = age; w < windows.size(); ++w)
      sum += forward_pass(s, layer_loads(s.model, layer_traffic(model, windows[w], made[w - age]))).total();
    mean.push_back(sum / static_cast<double>(windows.size() - age));
  }
  return mean;
}

std::optional<Interval> best_interval(const std::vector<double>& pass_s, double unbalanced_s, double move_s,
                                      double passes_per_window) {
  std::optional<Interval> best;
  double sum = 0;
  for (std::size_t n = 1; n < pass_s.size(); ++n) {
    sum += pass_s[n];
    const double mean = (sum + move_s / passes_per_window) / static_cast<double>(n);
    if (mean < (best ? best->pass_s : unbalanced_s)) best = Interval{static_cast<std::int64_t>(n), mean};
  }
  return best;
}

}  // namespace railcast
