#include <algorithm>

#include "model/chunk.hpp"

namespace railcast {
namespace {

template <class... Ts>
bool holds_any(const Shape& s) {
  return (std::holds_alternative<Ts>(s) || ...);
}

Group group_of(const Work& w) {
  if (holds_any<Dispatch, Combine>(w.shape)) return Group::ep;
  if (!holds_any<AllReduce, AllGather, ReduceScatter, AllToAll, SendRecv>(w.shape)) return Group::none;
  if (w.what.starts_with("cp.")) return Group::cp;
  return w.what.starts_with("experts.") ? Group::etp : Group::tp;
}

// Sums costs; the draw of the sum is the mean over its work.
struct Sum {
  Time latency, work;
  std::array<double, kDraws> drawn{};
  std::array<Time, kProvenances> by_provenance{};
  Time own;
  bool any = false;

  Shares shares = {};

  void add(const Shape& s, const Cost& c) {
    any = true;
    add_share(shares, s, c);
    latency += c.latency, work += c.work;
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] += c.draw[i] * c.work.seconds();
    by_provenance[static_cast<std::size_t>(c.provenance)] += c.total();
    if (c.own) own += c.total();
  }
  Part part(Group group) const {
    Part p{{latency, work, {}, 1}, by_provenance, group, own, shares};
    for (std::size_t i = 0; i < drawn.size() && work > Time(); ++i)
      p.cost.draw[i] = static_cast<float>(std::clamp(drawn[i] / work.seconds(), 0.0, 1.0));
    return p;
  }
};

}  // namespace

Parts cost_parts(const Works& works, const CostModel& costs, std::int64_t sms, bool apart) {
  Parts parts;
  std::array<Sum, 2> sums;  // memory-bound ops, then arithmetic, or all in the first
  const auto flush = [&] {
    for (Sum& sum : sums) {
      if (sum.any) parts.push_back(sum.part(Group::none));
      sum = {};
    }
  };
  for (const Work& w : works) {
    const Cost c = costs.cost(w.shape, sms);
    if (const Group g = group_of(w); g != Group::none) {
      flush();
      Sum alone;
      alone.add(w.shape, c);
      parts.push_back(alone.part(g));
    } else {
      sums[apart && flops(w.shape) > 0].add(w.shape, c);
    }
  }
  flush();
  return parts;
}

}  // namespace railcast
