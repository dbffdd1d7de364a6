// Stretch: how much longer a rank's traffic between nodes takes on a scenario's fabric than on one that blocks nowhere.
//
// A gang op knows its members' ports only. What it cannot see (uplinks that are oversubscribed or shared with other
// jobs, hash collisions, dead, slow or shared NICs) is found once per kind of group: all groups of that kind send their
// pattern at once, as flows over the fabric and over one without those faults, and the ratio of the two times stretches
// the NIC's part of each gang. Contention between different kinds of groups on an uplink is left out.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/layout.hpp"
#include "model/train.hpp"

namespace railcast {

/// The machine with its NICs slowed to what the slowest of `ranks` GPUs, one expert-parallel group, has of them on this
/// fabric. Throws std::invalid_argument as Fabric does.
Machine as_slowest_sees(const Machine& m, std::int64_t ranks);

/// By rank: 1 where the fabric changes nothing.
using Stretches = std::vector<double>;

class Stretch {
 public:
  /// Looks at the fabric only where it may block. Throws std::invalid_argument as Fabric does.
  Stretch(const Scenario& s, const Layout& l);

  bool none() const { return none_; }
  /// Ranks that are stretched alike, and whose GPU is as fast, share a class (all 0 where none() is true).
  std::vector<std::uint32_t> classes() const;
  /// What is stretched, by how much at most and on how many ranks, one line; empty where nothing is.
  std::string note() const;
  /// Re-times `step`: the NIC's part of each gang by the largest stretch of its members, kernels of slow GPUs by
  /// theirs, and NVLink's part of the gangs that a slow GPU is in.
  void apply(TrainStep& step) const;

 private:
  enum Pattern { ring_dense, ring_expert, ring_tp, ring_cp, ring_etp, exchange, send_up, send_down, kPatterns };
  static constexpr Group kGroups[] = {Group::dense, Group::expert, Group::tp,     Group::cp,
                                      Group::etp,   Group::ep,     Group::column, Group::column};
  double of_gang(const TrainStep& step, const Tag& t) const;
  double slowest_of_gang(const TrainStep& step, const Tag& t) const;

  const Scenario& s_;
  bool none_ = true;
  std::array<Stretches, kPatterns> by_pattern_;
  Stretches kernels_;  ///< 1 / speed
};

}  // namespace railcast
