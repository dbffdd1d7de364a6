// The study behind `balance`: is a better placement of these experts worth moving them, and how often?
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/forecast.hpp"
#include "cli/verbs.hpp"
#include "model/rebalance.hpp"

namespace railcast {

/// One placement under the (first window's) counts.
struct PlacementRow {
  std::string name;
  Placement placement;
  std::vector<LayerTraffic> traffic;  ///< by layer with experts
  std::vector<double> gap;            ///< busiest GPU over the lower bound - 1, by layer; empty: of other rules
  PassTime pass;
  MoveCost move;  ///< from the contiguous placement, GPUs renumbered
};

/// A training step of the scenario under the counts.
struct StepRow {
  std::string name;
  double step_s = 0;
};

struct BalanceStudy {
  Scenario scenario;  ///< the forward pass's
  std::string source;
  PlacementSpec spec;
  std::vector<std::int64_t> layer;  ///< the model's index of each row
  PassTime balanced;
  std::vector<PlacementRow> rows;   ///< contiguous, EPLB, improved, and EPLB on no replicas where there are some
  std::vector<double> bound;        ///< busiest GPU's least load over the mean, by layer
  std::vector<double> pass_by_age;  ///< of EPLB; empty with one window
  double unbalanced_s = 0;          ///< a pass with the contiguous placement, mean over windows
  double window_s = 0;              ///< 0: not given
  std::optional<Interval> interval;
  std::vector<StepRow> steps;  ///< empty where no step was asked for
  std::vector<BiasStep> bias;  ///< empty where it was not asked for
};

BalanceStudy study(const BalanceOptions& o);
std::string balance_text(const BalanceStudy& s, const BalanceOptions& o);
std::string balance_json(const BalanceStudy& s);

}  // namespace railcast
