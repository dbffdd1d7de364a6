// Scenario: a model, a plan, a machine and a workload. Loaded strictly by cli/load.
#pragma once
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/cost.hpp"
#include "model/layer.hpp"
#include "model/machine.hpp"
#include "model/plan.hpp"
#include "model/transformer.hpp"

namespace railcast {

struct TrainWorkload {
  std::int64_t sequence = 0, global_batch = 0;
  /// Rows of the most loaded GPU's experts over the mean. Every exchange of an expert-parallel group waits for it, so
  /// each rank is given its load; 1: perfectly balanced.
  double expert_imbalance = 1;
  /// By layer; empty (or without rows): every rank has expert_imbalance. With loads no two expert-parallel positions
  /// are folded: the step waits for its slowest rank.
  std::vector<LayerLoad> expert_loads = {};
  std::string routing = {};  ///< where expert_loads come from, for a person
};

/// The load of the rank that the others wait for, in a layer.
inline RankLoad slowest_load(const TrainWorkload& w, std::int64_t layer) {
  const auto i = static_cast<std::size_t>(layer);
  if (i >= w.expert_loads.size() || w.expert_loads[i].rows.empty()) return {w.expert_imbalance, w.expert_imbalance};
  return {w.expert_loads[i].most_rows(), w.expert_loads[i].exchange, w.expert_loads[i].experts};
}

/// A figure that the scenario must produce.
struct Expectation {
  std::string metric, value_text, source;
  double value = 0, within = 0;  ///< SI units; relative
};

struct Scenario {
  std::string path, about;
  Transformer model;
  Machine machine;
  std::int64_t nodes = 0;
  std::int64_t gpus_used = 0;  ///< 0: all of the nodes' GPUs
  Plan plan;
  TrainWorkload train;
  std::vector<Expectation> expect;
  std::shared_ptr<const CostModel> costs;
  std::int64_t gpus() const { return gpus_used > 0 ? gpus_used : nodes * machine.gpus_per_node; }
};

/// Bad input: the message names the file, the JSON pointer, what was expected and what to do. `main` exits with 2.
class BadInput : public std::runtime_error {
 public:
  BadInput(const std::string& file, const std::string& pointer, const std::string& what)
      : std::runtime_error(file + (pointer.empty() ? "" : "#" + pointer) + ": " + what) {}
};

/// What a part of the model refused: `what` may begin with the dotted key at fault ("plan.ep: ..."), which becomes the
/// pointer; `otherwise` stands where it does not.
BadInput refused(const std::string& file, const std::string& what, const std::string& otherwise);

}  // namespace railcast
