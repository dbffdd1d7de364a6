#include "model/step_loads.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "model/collective.hpp"

namespace railcast {

Routing routing_of(std::vector<TokenRoutes> routes, std::int64_t experts, std::string source) {
  Routing r{{std::ssize(routes), experts, {}}, {}, std::move(source)};
  for (const TokenRoutes& layer : routes) {
    const auto n = counts_of(layer, experts);
    r.counts.count.insert(r.counts.count.end(), n.begin(), n.end());
  }
  r.routes = std::move(routes);
  return r;
}

std::vector<std::int64_t> rows_by_layer(const Transformer& t, std::int64_t rows) {
  std::vector<std::int64_t> moe;
  const std::int64_t mtp = t.num_nextn_predict_layers, layers = t.num_hidden_layers;
  for (std::int64_t l = 0; l < layers; ++l)
    if (t.moe(l)) moe.push_back(l);
  const std::int64_t n = std::ssize(moe);
  if (rows != 1 && rows != n && rows != n + mtp && rows != layers && rows != layers + mtp)
    throw std::invalid_argument("has " + std::to_string(rows) + " layers; the model has " + std::to_string(n) +
                                " with experts (" + std::to_string(layers) + " in all, and " + std::to_string(mtp) +
                                " for MTP)");
  std::vector<std::int64_t> row(static_cast<std::size_t>(layers + mtp), -1);
  const bool by_layer = rows == layers || rows == layers + mtp;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t layer = moe[static_cast<std::size_t>(i)];
    row[static_cast<std::size_t>(layer)] = rows == 1 ? 0 : by_layer ? layer : i;
  }
  const std::int64_t first_mtp = by_layer ? layers : n;
  for (std::int64_t m = 0; m < mtp; ++m) row[static_cast<std::size_t>(layers + m)] = std::min(first_mtp + m, rows - 1);
  return row;
}

LoadModel load_model(const Scenario& s) {
  const Machine& m = s.machine;
  LoadSpec spec;
  spec.router = router_of(s.model);
  spec.tokens = s.plan.micro_batch * s.train.sequence / (s.plan.cp * s.plan.tp);
  spec.ranks = s.plan.ep;
  // Members of an expert-parallel group are etp apart.
  spec.per_node = std::max<std::int64_t>(1, m.gpus_per_node / s.plan.etp);
  spec.row_bytes =
      row_bytes(s.model.hidden_size, s.plan.precision == Dtype::fp8_block ? Dtype::fp8_block : Dtype::bf16);
  spec.nvlink = m.nvlink_effective, spec.nic = m.nic_effective;
  return LoadModel(spec);
}

std::vector<LayerTraffic> layer_traffic(const LoadModel& m, const Routing& r, const Placement& p) {
  const LoadSpec& spec = m.spec();
  if (r.counts.experts != spec.router.experts)
    throw std::invalid_argument("has " + std::to_string(r.counts.experts) + " experts; the model has " +
                                std::to_string(spec.router.experts));
  if (p.layers != r.counts.layers || p.gpus != spec.ranks)
    throw std::invalid_argument("the placement is of " + std::to_string(p.layers) + " layers on " +
                                std::to_string(p.gpus) + " GPUs");
  std::vector<LayerTraffic> all;
  for (std::int64_t l = 0; l < r.counts.layers; ++l) {
    const auto i = static_cast<std::size_t>(l);
    const auto counts = r.counts.row(l);
    all.push_back(r.routes.empty()
                      ? m.layer(counts, p.row(l))
                      : m.layer(counts, p.row(l), reached(r.routes[i], p.row(l), spec.ranks, spec.per_node)));
  }
  return all;
}

std::vector<LayerLoad> layer_loads(const Transformer& t, const std::vector<LayerTraffic>& by_row) {
  std::vector<LayerLoad> all;
  for (std::int64_t row : rows_by_layer(t, std::ssize(by_row)))
    all.push_back(row < 0 ? LayerLoad{} : by_row[static_cast<std::size_t>(row)].load);
  return all;
}

}  // namespace railcast
