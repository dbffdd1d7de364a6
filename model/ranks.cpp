#include "model/ranks.hpp"

#include <array>
#include <set>

#include "model/machine.hpp"

namespace railcast {

Ranks::Ranks(const Layout& layout, const Folding& folding, GraphBuilder& graph,
             std::vector<std::vector<std::uint32_t>>& members, std::vector<Group>& groups)
    : layout_(layout), folding_(folding), graph_(graph), members_(members), groups_(groups) {
  begin_.assign(static_cast<std::size_t>(layout.pp) + 1, 0);
  for (std::uint32_t i = 0; i < folding.rank.size(); ++i) {
    ++begin_[static_cast<std::size_t>(layout.pp_rank(folding.rank[i])) + 1];
    for (ResourceId made = 0; made < kRankResources; ++made) graph_.resource();
    const std::array<Use, 2> uses{use(i, hbm), use(i, power)};
    compute_uses_.push_back(graph_.uses(uses));
  }
  for (std::size_t r = 0; r + 1 < begin_.size(); ++r) begin_[r + 1] += begin_[r];
}

Use Ranks::use(std::uint32_t i, RankResource r) const {
  const Draw draw = r == hbm ? Draw::hbm : r == nvlink ? Draw::nvlink : r == power ? Draw::power : Draw::nic;
  return {i * kRankResources + r, static_cast<std::uint32_t>(draw)};
}

UsesId Ranks::gang_uses(const std::vector<std::uint32_t>& members) {
  std::vector<Use> uses;
  for (std::uint32_t m : members)
    for (RankResource r : {hbm, nvlink, nic_out, nic_in, power}) uses.push_back(use(m, r));
  return graph_.uses(uses);
}

Gang Ranks::add(Group kind, std::vector<std::uint32_t> members, UsesId uses) {
  groups_.push_back(kind);
  members_.push_back(std::move(members));
  return {static_cast<std::uint32_t>(members_.size() - 1), uses};
}

const std::vector<Gang>& Ranks::gangs(Group kind, std::int64_t r) {
  const auto [known, fresh] = gangs_.try_emplace({kind, r});
  if (!fresh) return known->second;
  std::map<std::uint32_t, std::set<std::uint32_t>> by_group;
  for (std::uint32_t i = begin(r); i < end(r); ++i) by_group[layout_.group(kind, folding_.rank[i])];
  for (std::int64_t rank = 0; rank < layout_.ranks(); ++rank)
    if (const auto it = by_group.find(layout_.group(kind, rank)); it != by_group.end())
      it->second.insert(folding_.stands_for[static_cast<std::size_t>(rank)]);
  std::set<std::vector<std::uint32_t>> distinct;
  for (const auto& [group, members] : by_group) distinct.insert({members.begin(), members.end()});
  for (const auto& members : distinct) known->second.push_back(add(kind, members, gang_uses(members)));
  return known->second;
}

Gang Ranks::send(std::uint32_t from, std::uint32_t to) {
  const auto [known, fresh] = sends_.try_emplace({from, to});
  if (!fresh) return known->second;
  const bool near = layout_.same_node(folding_.rank[from], folding_.rank[to]);
  const std::array<Use, 2> uses{use(from, near ? nvlink : nic_out), use(to, near ? nvlink : nic_in)};
  return known->second = add(Group::column, {from, to}, graph_.uses(uses));
}

}  // namespace railcast
