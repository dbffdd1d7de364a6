#include "model/layout.hpp"

#include <algorithm>
#include <numeric>

namespace railcast {

Layout::Layout(const Scenario& s)
    : tp(s.plan.tp),
      cp(s.plan.cp),
      dp(railcast::dp(s.plan, s.gpus())),
      pp(s.plan.pp),
      ep(s.plan.ep),
      etp(s.plan.etp),
      gpus_per_node(s.machine.gpus_per_node),
      paired(s.plan.schedule == Schedule::dualpipe) {}

std::uint32_t Layout::group(Group kind, std::int64_t rank) const {
  const std::int64_t i = rank % stage_ranks(), p = rank / stage_ranks();
  const std::int64_t pair = paired ? std::min(p, pp - 1 - p) : p;
  const auto in_stage = [&](std::int64_t id) { return static_cast<std::uint32_t>(p * stage_ranks() + id); };
  switch (kind) {
    case Group::none:
      return static_cast<std::uint32_t>(rank);
    case Group::tp:
      return in_stage(i / tp);
    case Group::cp:
      return in_stage(i / (tp * cp) * tp + i % tp);
    case Group::etp:
      return in_stage(i / etp);
    case Group::ep:
      return in_stage(i / (ep * etp) * etp + i % etp);
    case Group::dense:
      return static_cast<std::uint32_t>(pair * tp + i % tp);
    case Group::expert:
      return static_cast<std::uint32_t>(pair * ep * etp + i % (ep * etp));
    case Group::world:
      return 0;
    case Group::column:
      return static_cast<std::uint32_t>(i);
  }
  return 0;
}

std::int64_t Layout::size(Group kind) const {
  const std::int64_t copies = paired ? 2 : 1;
  switch (kind) {
    case Group::none:
      return 1;
    case Group::tp:
      return tp;
    case Group::cp:
      return cp;
    case Group::etp:
      return etp;
    case Group::ep:
      return ep;
    case Group::dense:
      return cp * dp * copies;
    case Group::expert:
      return stage_ranks() / (ep * etp) * copies;
    case Group::world:
      return ranks();
    case Group::column:
      return pp;
  }
  return 1;
}

// Members are evenly strided within the stage, so the first node of rank 0's group is as full as any.
std::int64_t Layout::per_node(Group kind) const {
  std::int64_t n = 0;
  for (std::int64_t r = 0; r < std::min(gpus_per_node, ranks()); ++r) n += group(kind, r) == group(kind, 0);
  return n;
}

Folding fold(const Layout& l, bool enabled, bool by_position, const std::vector<std::uint32_t>& classes) {
  const auto n = static_cast<std::size_t>(l.ranks());
  std::vector<std::uint32_t> colours(n);
  std::iota(colours.begin(), colours.end(), 0U);
  if (enabled) {
    // What a rank does depends on its pipeline rank and on whether its pipeline neighbours share its node.
    const auto near = [&](std::int64_t r, std::int64_t other) {
      return static_cast<std::uint32_t>(other >= 0 && other < l.ranks() && l.same_node(r, other));
    };
    std::vector<Grouping> groupings;
    for (Group kind : {Group::tp, Group::cp, Group::etp, Group::ep, Group::dense, Group::expert, Group::column}) {
      Grouping& g = groupings.emplace_back(n);
      for (std::size_t r = 0; r < n; ++r) g[r] = l.group(kind, static_cast<std::int64_t>(r));
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto r = static_cast<std::int64_t>(i);
      const std::int64_t position = by_position ? l.ep_position(r) : 0;
      colours[i] = static_cast<std::uint32_t>(l.pp_rank(r) * l.ep + position) * 4 + near(r, r + l.stage_ranks()) * 2 +
                   near(r, r - l.stage_ranks());
      if (!classes.empty()) colours[i] += classes[i] * static_cast<std::uint32_t>(4 * l.pp * l.ep);
    }
    colours = equitable_colours(std::move(colours), groupings);
  }
  Folding f;
  f.stands_for = std::move(colours);
  for (std::size_t r = 0; r < n; ++r) {
    if (f.stands_for[r] == f.rank.size()) f.rank.push_back(static_cast<std::int64_t>(r)), f.count.push_back(0);
    ++f.count[f.stands_for[r]];
  }
  return f;
}

}  // namespace railcast
