#include "reports/overlap.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr auto kSegments = static_cast<std::size_t>(Kind::attn_w) + 1;  // the layer's own come first

struct Sum {
  double alone = 0, overlapped = 0;
  std::set<std::uint64_t> segments;  ///< tags: the parts of a segment share one
};

bool in_pair(const TrainStep& s, const Tag& tag) {
  const std::uint32_t rank = tag.gang ? s.gangs[tag.who].front() : tag.who;
  const auto& program = s.program[static_cast<std::size_t>(s.ranks[rank].pp_rank)];
  return tag.instruction < program.size() && program[tag.instruction].step == Step::overlapped;
}

}  // namespace

std::vector<Slowdown> slowdowns(const TrainStep& s, const Trace& t, std::int64_t layer) {
  std::array<Sum, kSegments> sums;
  for (OpId op = 0; op < s.graph.ops.size(); ++op) {
    const Tag tag = unpack(s.graph.ops[op].tag);
    const auto kind = static_cast<std::size_t>(tag.kind);
    if (kind >= kSegments || tag.layer != static_cast<std::uint32_t>(layer) || !in_pair(s, tag)) continue;
    const OpCost& cost = s.graph.costs[s.graph.ops[op].cost];
    sums[kind].alone += (cost.latency + cost.work).seconds();
    sums[kind].overlapped += (t.end[op] - t.start[op]).seconds();
    sums[kind].segments.insert(s.graph.ops[op].tag);
  }
  std::vector<Slowdown> all;
  for (std::size_t kind = 0; kind < kSegments; ++kind) {
    const auto n = static_cast<double>(sums[kind].segments.size());
    if (n > 0) all.push_back({static_cast<Kind>(kind), sums[kind].alone / n, sums[kind].overlapped / n});
  }
  return all;
}

std::string slowdowns_text(const std::vector<Slowdown>& all, double layer_pair_s) {
  if (all.empty()) return {};
  Table t("lrrr");
  t.line("in the step's F&B pairs");
  t.row({"segment", "alone", "overlapped", "times"});
  std::array<Slowdown, 2> lanes;
  for (const Slowdown& x : all) {
    char times[16];
    std::snprintf(times, sizeof times, "%.2f", x.times());
    t.row({name(x.kind), duration_text(x.alone_s), duration_text(x.overlapped_s), times});
    Slowdown& lane = lanes[is_communication(x.kind)];
    lane.alone_s += x.alone_s, lane.overlapped_s += x.overlapped_s;
  }
  t.row({"compute lane", duration_text(lanes[0].alone_s), duration_text(lanes[0].overlapped_s)});
  t.row({"communication lane", duration_text(lanes[1].alone_s), duration_text(lanes[1].overlapped_s)});
  if (layer_pair_s > 0) t.row({"layer pair", "", duration_text(layer_pair_s)});
  return t.text();
}

}  // namespace railcast
