#include "model/stretch.hpp"

#include <algorithm>
#include <compare>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "model/flows.hpp"

namespace railcast {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The messages of all groups of one kind, all as long.
struct Traffic {
  std::vector<Message> messages;
  void add(std::int64_t from, std::int64_t to) {
    messages.push_back({static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to), 1e6});
  }
};

/// Ranks in nodes of `per_node`; group id by rank.
struct Groups {
  std::int64_t per_node = 8;
  std::vector<std::uint32_t> of_rank;
};

Groups groups_of(const Layout& l, Group kind) {
  Groups g{l.gpus_per_node, {}};
  for (std::int64_t r = 0; r < l.ranks(); ++r) g.of_rank.push_back(l.group(kind, r));
  return g;
}

std::map<std::uint32_t, std::vector<std::int64_t>> nodes_by_group(const Groups& g) {
  std::map<std::uint32_t, std::vector<std::int64_t>> nodes;
  for (std::int64_t r = 0; r < std::ssize(g.of_rank); ++r) {
    auto& of_group = nodes[g.of_rank[at(r)]];
    if (of_group.empty() || of_group.back() != r / g.per_node) of_group.push_back(r / g.per_node);
  }
  return nodes;
}

// A ring over a group's nodes, each rank to the GPU of its own rail in the next node; with `all`, in every other node,
// as tokens travel (arXiv 2412.19437, 3.2.2).
Traffic along_rails(const Groups& g, bool all) {
  Traffic t;
  const auto nodes = nodes_by_group(g);
  for (std::int64_t r = 0; r < std::ssize(g.of_rank); ++r) {
    const auto& of_group = nodes.at(g.of_rank[at(r)]);
    const std::int64_t n = std::ssize(of_group), rail = r % g.per_node;
    const auto own = std::ranges::find(of_group, r / g.per_node) - of_group.begin();
    for (std::int64_t k = 1; k < (all ? n : std::min<std::int64_t>(n, 2)); ++k)
      t.add(r, of_group[at((own + k) % n)] * g.per_node + rail);
  }
  return t;
}

Traffic sends(const Layout& l, bool up, bool wraps) {
  Traffic t;
  for (std::int64_t r = 0; r < l.ranks(); ++r) {
    const std::int64_t to = up ? r + l.stage_ranks() : r - l.stage_ranks();
    const bool inside = to >= 0 && to < l.ranks();
    if (l.pp > 1 && (inside || wraps)) t.add(r, (to + l.ranks()) % l.ranks());
  }
  return t;
}

// By rank: the largest ratio of times of the messages that it sends or, where the group waits for them, receives.
Stretches ratios(const Fabric& real, const Fabric& ideal, const Traffic& t, std::int64_t ranks, bool received) {
  Stretches by_rank(at(ranks), 1);
  const Exchange with = deliver(real, t.messages), without = deliver(ideal, t.messages);
  for (std::size_t m = 0; m < t.messages.size(); ++m) {
    const Message& x = t.messages[m];
    if (real.node(x.from) == real.node(x.to)) continue;
    const Time a = with.end[m] - real.latency(x.from, x.to), b = without.end[m] - ideal.latency(x.from, x.to);
    const double ratio = std::max(1.0, a.seconds() / b.seconds());
    by_rank[x.from] = std::max(by_rank[x.from], ratio);
    if (received) by_rank[x.to] = std::max(by_rank[x.to], ratio);
  }
  return by_rank;
}

FabricSpec without_faults(FabricSpec f) {
  Topology t;
  t.wiring = f.topology.wiring, t.nodes_per_leaf = f.topology.nodes_per_leaf;
  t.spine_latency = f.topology.spine_latency;
  f.topology = t;
  return f;
}

/// How many times as long the NIC's part of a gang takes, and NVLink's.
struct Longer {
  double nic = 1, nvlink = 1;
  auto operator<=>(const Longer&) const = default;
};

/// With `one_port` NVLink's (PCIe's) bytes pass the same port after the NIC's.
OpCost stretched(const OpCost& c, const Longer& by, bool one_port) {
  const auto nic = std::size_t(Draw::nic), nvlink = std::size_t(Draw::nvlink);
  const double before = c.work.seconds();
  const double nic_time = double(c.draw[nic]) * before * by.nic;
  const double nvlink_time = double(c.draw[nvlink]) * before * by.nvlink;
  const double work = std::max(before, one_port ? nic_time + nvlink_time : std::max(nic_time, nvlink_time));
  OpCost out = c;
  if (work == before) return out;
  for (float& d : out.draw) d = static_cast<float>(double(d) * before / work);
  out.draw[nic] = static_cast<float>(std::min(1.0, nic_time / work));
  out.draw[nvlink] = static_cast<float>(std::min(1.0, nvlink_time / work));
  out.work = Time::seconds(work);
  return out;
}

OpCost slowed(const OpCost& c, double times) {
  OpCost out = c;
  out.work = Time::seconds(c.work.seconds() * times);
  for (float& d : out.draw) d = static_cast<float>(double(d) / times);
  return out;
}

}  // namespace

Machine as_slowest_sees(const Machine& m, std::int64_t ranks) {
  if (m.topology.non_blocking() || ranks <= m.gpus_per_node) return m;
  const FabricSpec spec = fabric_of(m, (ranks + m.gpus_per_node - 1) / m.gpus_per_node);
  const Groups one{m.gpus_per_node, std::vector<std::uint32_t>(at(ranks))};
  const auto by_rank = ratios(Fabric(spec), Fabric(without_faults(spec)), along_rails(one, true), ranks, true);
  const double most = std::ranges::max(by_rank);
  Machine slow = m;
  slow.nic = 1 / most * m.nic, slow.nic_effective = 1 / most * m.nic_effective;
  return slow;
}

Stretch::Stretch(const Scenario& s, const Layout& l) : s_(s) {
  const FabricSpec spec = fabric_of(s.machine, s.nodes);
  const auto ranks = at(l.ranks());
  for (Stretches& p : by_pattern_) p.assign(ranks, 1);
  kernels_.assign(ranks, 1);
  none_ = spec.topology.non_blocking();
  if (none_) return;
  const Fabric real(spec), ideal(without_faults(spec));
  for (int p = ring_dense; p <= exchange; ++p)
    by_pattern_[std::size_t(p)] =
        ratios(real, ideal, along_rails(groups_of(l, kGroups[p]), p == exchange), l.ranks(), true);
  const bool wraps = s.plan.schedule == Schedule::interleaved;
  for (int p : {send_up, send_down})
    by_pattern_[std::size_t(p)] = ratios(real, ideal, sends(l, p == send_up, wraps), l.ranks(), false);
  for (std::int64_t gpu : spec.topology.slow_gpus)
    if (gpu < l.ranks()) kernels_[at(gpu)] = 1 / spec.topology.slow_gpu_share;
}

std::vector<std::uint32_t> Stretch::classes() const {
  std::vector<std::uint32_t> by_rank;
  std::map<std::vector<double>, std::uint32_t> known;
  for (std::size_t r = 0; r < kernels_.size(); ++r) {
    std::vector<double> key{kernels_[r]};
    for (const Stretches& p : by_pattern_) key.push_back(p[r]);
    by_rank.push_back(known.try_emplace(std::move(key), std::uint32_t(known.size())).first->second);
  }
  return by_rank;
}

std::string Stretch::note() const {
  static constexpr const char* kNames[] = {
      "gradients and weights",     "those of experts",     "tensor-parallel collectives", "context-parallel ones",
      "those of experts' tensors", "dispatch and combine", "sends to the next stage",     "sends back"};
  std::string all;
  const auto say = [&](const char* what, const Stretches& by_rank) {
    const double most = std::ranges::max(by_rank);
    const auto ranks = std::ranges::count_if(by_rank, [](double s) { return s > 1; });
    char times[32];
    std::snprintf(times, sizeof times, "%.2f", most);
    if (ranks > 0)
      all += (all.empty() ? "" : "; ") + std::string(what) + " up to " + times + " times, on " + std::to_string(ranks) +
             (ranks == 1 ? " rank" : " ranks");
  };
  if (none_) return all;
  say("kernels", kernels_);
  for (const int p : {exchange, ring_dense, ring_expert, ring_tp, ring_cp, ring_etp, send_up, send_down})
    say(kNames[p], by_pattern_[std::size_t(p)]);
  if (!all.empty()) return "the fabric stretches " + all;
  return s_.machine.topology.inside == Inside::pcie ? "what goes between nodes passes PCIe before the NIC"
                                                    : "the fabric blocks, but nothing of this plan is stretched";
}

double Stretch::of_gang(const TrainStep& step, const Tag& t) const {
  const auto& members = step.gangs[t.who];
  const Group group = step.gang_groups[t.who];
  const auto rank = [&](std::uint32_t m) { return at(step.ranks[m].rank); };
  if (group == Group::column) {
    const std::int64_t from = step.ranks[members[0]].pp_rank, to = step.ranks[members[1]].pp_rank;
    const bool up = (to - from + s_.plan.pp) % s_.plan.pp == 1;
    return by_pattern_[up ? send_up : send_down][rank(members[0])];
  }
  const auto p = std::size_t(std::ranges::find(kGroups, group) - std::begin(kGroups));
  double most = 1;
  for (std::uint32_t m : members)
    if (p < kPatterns) most = std::max(most, by_pattern_[p][rank(m)]);
  return most;
}

double Stretch::slowest_of_gang(const TrainStep& step, const Tag& t) const {
  double most = 1;
  for (std::uint32_t m : step.gangs[t.who]) most = std::max(most, kernels_[at(step.ranks[m].rank)]);
  return most;
}

void Stretch::apply(TrainStep& step) const {
  if (none_) return;
  const bool one_port = s_.machine.topology.inside == Inside::pcie;
  std::map<std::pair<CostId, Longer>, CostId> known;
  for (Op& op : step.graph.ops) {
    const Tag t = unpack(op.tag);
    const Longer by =
        t.gang ? Longer{of_gang(step, t), slowest_of_gang(step, t)} : Longer{1, kernels_[at(step.ranks[t.who].rank)]};
    if (by == Longer{} && !(t.gang && one_port)) continue;
    if (step.graph.costs[op.cost].work == Time()) continue;
    const auto [it, fresh] = known.try_emplace({op.cost, by}, CostId(step.graph.costs.size()));
    if (fresh) {
      const OpCost before = step.graph.costs[op.cost];
      step.graph.costs.push_back(t.gang ? stretched(before, by, one_port) : slowed(before, by.nvlink));
      const OpCost& after = step.graph.costs.back();
      const double longer = (after.latency + after.work).seconds() / (before.latency + before.work).seconds();
      Segment segment = step.segments[op.cost];
      for (Time& time : segment.by_provenance) time = Time::seconds(time.seconds() * longer);
      segment.own = Time::seconds(segment.own.seconds() * longer);
      step.segments.push_back(segment);
    }
    op.cost = it->second;
  }
}

}  // namespace railcast
