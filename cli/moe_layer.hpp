// Scenarios of one MoE layer on our own kernels: "workload": {"moe_layer": {...}}, forward and backward, beside what
// railcast-measure --suite layer_v3 measures.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "model/moe_layer.hpp"
#include "model/scenario.hpp"

namespace railcast {

struct MoeLayerScenario {
  std::string path, about;
  Machine machine;
  std::shared_ptr<const CostModel> costs;
  MoeLayer layer;
  std::vector<Expectation> expect;
};

/// Whether the scenario's workload is a MoE layer; nothing else is checked.
bool is_moe_layer(const std::string& path, const std::vector<std::string>& overrides);
/// Strict, as load_scenario.
MoeLayerScenario load_moe_layer(const std::string& path, const std::vector<std::string>& overrides);

struct MoeLayerForecast {
  struct Line {
    std::string pass, what, shape;
    std::int64_t times = 1;
    Cost cost;  ///< of one
    double seconds() const { return static_cast<double>(times) * cost.total().seconds(); }
  };
  std::vector<Line> lines;
  double forward_s = 0, backward_s = 0;
};
MoeLayerForecast forecast(const MoeLayerScenario& s);

std::string moe_layer_json(const MoeLayerScenario& s, const MoeLayerForecast& f);
int run_moe_layer(const RunOptions& o);

}  // namespace railcast
