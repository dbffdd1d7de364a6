// Rebalancing: what a better placement gains in a forward pass, what moving the experts costs, and when that pays.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "model/step_loads.hpp"

namespace railcast {

/// A forward pass of one micro-batch through all layers, nothing overlapped (prefill without two-batch overlap). Every
/// exchange and every layer's experts wait for the busiest rank; embedding, head and MTP are left out.
struct PassTime {
  double attention_s = 0, exchange_s = 0, experts_s = 0;  ///< attention with all that every rank does alike
  double total() const { return attention_s + exchange_s + experts_s; }
};
/// `loads` by layer; empty: balanced.
PassTime forward_pass(const Scenario& s, const std::vector<LayerLoad>& loads);

/// `r` with one row for each layer with experts, MTP's left out. Throws std::invalid_argument as rows_by_layer.
Routing by_moe_layer(const Routing& r, const Transformer& t);

/// Weights of one routed expert as the plan holds them: E4M3 with FP32 scales per 128x128 block, or BF16.
double expert_bytes(const Scenario& s);
/// Weights of a GPU: its slots in every layer and its part of all other layers' weights.
double placed_weight_bytes(const Scenario& s, const PlacementSpec& p);

struct MoveCost {
  std::int64_t experts = 0, most_into_a_gpu = 0;  ///< that change place, over all layers
  double bytes = 0;
  double paused_s = 0;      ///< with all GPUs waiting: the messages over the fabric, sharing its ports
  double background_s = 0;  ///< beside running passes: the ports are shared only while exchanges run
};
/// `exchange_share` of a pass is exchanges.
MoveCost move_cost(const Scenario& s, const Placement& from, const Placement& to, double exchange_share);

/// Mean time of a forward pass by the age, in windows, of its placement (0: made of the same window's counts), up to
/// `most`. `made` holds the placement made of each window's.
std::vector<double> pass_by_age(const Scenario& s, const std::vector<Routing>& windows,
                                const std::vector<Placement>& made, std::size_t most);

/// How many windows to keep a placement, 1 to pass_s.size() - 1, so that a pass costs least on the average: the mean
/// over ages 1 to n of its time, plus move_s spread over n x passes_per_window passes. Counts of a window are known
/// when it ends, so a placement is one window old when it starts. Nothing where no interval beats `unbalanced_s`.
struct Interval {
  std::int64_t windows = 0;
  double pass_s = 0;  ///< with the moves' part
};
std::optional<Interval> best_interval(const std::vector<double>& pass_s, double unbalanced_s, double move_s,
                                      double passes_per_window);

}  // namespace railcast
