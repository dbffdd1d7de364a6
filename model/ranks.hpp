// The simulated ranks' resources, and the gangs that they form.
#pragma once
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "model/layout.hpp"
#include "sim/graph.hpp"

namespace railcast {

enum RankResource : ResourceId { hbm, nvlink, nic_out, nic_in, power, kRankResources };

/// The members of one collective that are simulated, and what they hold while it runs.
struct Gang {
  std::uint32_t index = 0;  ///< in TrainStep::gangs
  UsesId uses = 0;
};

class Ranks {
 public:
  /// Makes the resources of every simulated rank. Gangs are appended to `members` and `groups` as they are asked for.
  Ranks(const Layout& layout, const Folding& folding, GraphBuilder& graph,
        std::vector<std::vector<std::uint32_t>>& members, std::vector<Group>& groups);

  /// The simulated ranks of pipeline rank r are begin(r) to end(r).
  std::uint32_t begin(std::int64_t r) const { return begin_[static_cast<std::size_t>(r)]; }
  std::uint32_t end(std::int64_t r) const { return begin_[static_cast<std::size_t>(r) + 1]; }
  UsesId compute_uses(std::uint32_t i) const { return compute_uses_[i]; }

  /// The gangs of one kind that the ranks of a pipeline rank take part in, each once. A member's stand-in takes its
  /// place, so that two groups that fold onto the same ranks are one gang.
  const std::vector<Gang>& gangs(Group kind, std::int64_t r);
  /// A pipeline send holds the sender's way out and the receiver's way in; its share of HBM (under 3 % of the peak at
  /// 50 GB/s) is left out, so that it couples no more than two ranks.
  Gang send(std::uint32_t from, std::uint32_t to);

 private:
  Use use(std::uint32_t i, RankResource r) const;
  UsesId gang_uses(const std::vector<std::uint32_t>& members);
  Gang add(Group kind, std::vector<std::uint32_t> members, UsesId uses);

  const Layout& layout_;
  const Folding& folding_;
  GraphBuilder& graph_;
  std::vector<std::vector<std::uint32_t>>& members_;
  std::vector<Group>& groups_;
  std::vector<std::uint32_t> begin_;
  std::vector<UsesId> compute_uses_;
  std::map<std::pair<Group, std::int64_t>, std::vector<Gang>> gangs_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, Gang> sends_;
};

}  // namespace railcast
