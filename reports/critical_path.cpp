#include "reports/critical_path.hpp"

#include <algorithm>

namespace railcast {
namespace {

constexpr OpId kNone = ~OpId{0};

/// By op: the predecessor that ends last.
std::vector<OpId> latest_predecessors(const Graph& g, const Trace& t) {
  std::vector<OpId> latest(g.ops.size(), kNone);
  for (OpId from = 0; from < g.ops.size(); ++from)
    for (OpId to : g.successors_of(from))
      if (latest[to] == kNone || t.end[from] > t.end[latest[to]]) latest[to] = from;
  return latest;
}

Time duration(const Trace& t, OpId op) { return t.end[op] - t.start[op]; }

}  // namespace

std::vector<OpId> critical_path(const Graph& g, const Trace& t) {
  if (g.ops.empty()) return {};
  const std::vector<OpId> latest = latest_predecessors(g, t);
  std::vector<OpId> path;
  for (auto op = static_cast<OpId>(std::ranges::max_element(t.end) - t.end.begin()); op != kNone; op = latest[op])
    path.push_back(op);
  std::ranges::reverse(path);
  return path;
}

std::vector<PathKind> path_kinds(const Graph& g, const Trace& t, const std::vector<OpId>& path) {
  std::vector<PathKind> kinds(kKinds);
  Time busy;
  for (OpId op : path) {
    PathKind& k = kinds[static_cast<std::size_t>(unpack(g.ops[op].tag).kind)];
    k.time_s += duration(t, op).seconds();
    ++k.count;
    busy += duration(t, op);
  }
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    kinds[k].kind = static_cast<Kind>(k);
    if (busy > Time()) kinds[k].share = kinds[k].time_s / busy.seconds();
  }
  std::erase_if(kinds, [](const PathKind& k) { return k.count == 0; });
  std::ranges::stable_sort(kinds, std::ranges::greater(), &PathKind::time_s);
  return kinds;
}

double path_own(const TrainStep& s, const Trace& t, const std::vector<OpId>& path) {
  double own = 0, busy = 0;
  for (OpId op : path) {
    const Segment& segment = s.segments[s.graph.ops[op].cost];
    const double took = duration(t, op).seconds();
    Time known;
    for (Time source : segment.by_provenance) known += source;
    if (known > Time()) own += took * (segment.own.seconds() / known.seconds());
    busy += took;
  }
  return busy > 0 ? own / busy : 0;
}

std::array<double, kProvenances> path_provenance(const TrainStep& s, const Trace& t, const std::vector<OpId>& path) {
  std::array<double, kProvenances> shares{};
  double busy = 0;
  for (OpId op : path) {
    const auto& sources = s.segments[s.graph.ops[op].cost].by_provenance;
    Time known;
    for (Time source : sources) known += source;
    const double took = duration(t, op).seconds();
    for (std::size_t p = 0; p < kProvenances; ++p)
      if (known > Time()) shares[p] += took * (sources[p].seconds() / known.seconds());
    if (known == Time()) shares[static_cast<std::size_t>(Provenance::assumed)] += took;
    busy += took;
  }
  if (busy > 0)
    for (double& share : shares) share /= busy;
  return shares;
}

}  // namespace railcast
