// Layout: which ranks work together. Ranks are numbered tensor-parallel fastest, then context, then data, then
// pipeline.
#pragma once
#include <cstdint>
#include <vector>

#include "model/fold.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// Who takes part in an op: one rank, or the rank's group of that kind. `dense` and `expert` are the data-parallel
/// groups of the two kinds of weights; `column` is a rank's pipeline.
enum class Group : std::uint8_t { none, tp, cp, etp, ep, dense, expert, world, column };

struct Layout {
  std::int64_t tp = 1, cp = 1, dp = 1, pp = 1, ep = 1, etp = 1, gpus_per_node = 8;
  bool paired = false;  ///< DualPipe: pipeline ranks r and pp-1-r hold the same two stages

  explicit Layout(const Scenario& s);
  std::int64_t stage_ranks() const { return tp * cp * dp; }  ///< ranks of one pipeline rank
  std::int64_t ranks() const { return stage_ranks() * pp; }
  std::int64_t pp_rank(std::int64_t rank) const { return rank / stage_ranks(); }
  bool same_node(std::int64_t a, std::int64_t b) const { return a / gpus_per_node == b / gpus_per_node; }
  /// Place of `rank` in its expert-parallel group.
  std::int64_t ep_position(std::int64_t rank) const { return rank % stage_ranks() / etp % ep; }
  /// Group id of `rank`, unique within the kind.
  std::uint32_t group(Group kind, std::int64_t rank) const;
  /// How many members a group has and how many of them share a node.
  std::int64_t size(Group kind) const;
  std::int64_t per_node(Group kind) const;
};

/// The simulated ranks: one of each colour (all of them without folding), and which one stands for each rank.
struct Folding {
  std::vector<std::int64_t> rank, count;  ///< by simulated rank, in rank order
  std::vector<std::uint32_t> stands_for;  ///< by rank: index of its simulated rank
};
/// `by_position`: ranks at different places of their expert-parallel groups have different work. `classes`: by rank, or
/// empty; ranks of different classes differ (Stretch).
Folding fold(const Layout& l, bool enabled, bool by_position = false, const std::vector<std::uint32_t>& classes = {});

}  // namespace railcast
