// Loads: expert counts and a placement turned into what each rank of an expert-parallel group computes and sends.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/layer.hpp"
#include "model/machine.hpp"
#include "model/placement.hpp"
#include "model/router.hpp"

namespace railcast {

/// An expert-parallel group and what one of its ranks brings to an exchange.
struct LoadSpec {
  Router router;
  std::int64_t tokens = 0;               ///< of one rank and micro-batch
  std::int64_t ranks = 1, per_node = 8;  ///< the group; its ranks of one node
  double row_bytes = 0;                  ///< of a token in a dispatch
  ByteRate nvlink, nic;                  ///< per GPU, each way, as exchanges reach them
};

/// The chance that a token has an expert on a rank, and on a node.
struct Reached {
  std::vector<double> rank, node;
};
/// Counted: every token takes its experts' replicas in turn.
Reached reached(const TokenRoutes& t, std::span<const std::int32_t> slots, std::int64_t ranks, std::int64_t per_node);

/// One rank in one layer. Bytes are of a dispatch; in a combine, in and out change places.
struct RankTraffic {
  double rows = 0;    ///< (token, expert) pairs
  double padded = 0;  ///< with each expert's rows padded to a multiple of 128, as grouped GEMMs take them
  double tokens = 0;  ///< that arrive, own ones included
  double nic_out = 0, nic_in = 0, nvlink_out = 0, nvlink_in = 0;
};

/// A layer under its loads, beside balanced ones.
struct LayerTraffic {
  std::vector<RankTraffic> rank;
  double rank_imbalance = 1, node_imbalance = 1, expert_imbalance = 1;  ///< of rows: largest over mean
  LayerLoad load;                                                       ///< what a step makes of it
};

/// Turns counts into traffic. Counts alone do not say which experts a token takes together. The gate keeps top_groups
/// groups at once, group g with the chance pi(g) = top_groups x its share of the selections (at most 1); within a kept
/// group a token takes expert e with the chance q(e) / pi(g). So it misses a set of experts with the chance
///   mean over the choices of groups of the product over e of (1 - q(e) / pi(g(e)))^kappa,
/// choices weighed by a product of odds that gives each group its pi (conditional Poisson sampling). kappa, one for
/// ranks and one for nodes, makes balanced loads reach what expected_reach() samples from the gate.
class LoadModel {
 public:
  /// Throws std::invalid_argument where the router is impossible, its experts do not divide over the ranks or the ranks
  /// do not fill their nodes.
  explicit LoadModel(const LoadSpec& spec);

  Reached reached(std::span<const double> counts, std::span<const std::int32_t> slots) const;
  LayerTraffic layer(std::span<const double> counts, std::span<const std::int32_t> slots) const;
  /// With what tokens reach known (from a trace) instead of estimated.
  LayerTraffic layer(std::span<const double> counts, std::span<const std::int32_t> slots, const Reached& r) const;
  const LoadSpec& spec() const { return spec_; }
  /// Seconds of the busiest port in a dispatch, bytes over rate.
  double port_seconds(const std::vector<RankTraffic>& ranks) const;

 private:
  std::vector<double> hits(std::span<const double> counts, std::span<const std::int32_t> slots, std::size_t per_part,
                           double kappa) const;
  double fitted(double wanted, std::int64_t per_part) const;
  std::vector<RankTraffic> traffic(std::span<const double> counts, std::span<const std::int32_t> slots,
                                   const Reached& r) const;

  LoadSpec spec_;
  double kappa_rank_ = 1, kappa_node_ = 1, balanced_seconds_ = 0;
};

}  // namespace railcast
