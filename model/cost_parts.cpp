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

  void add(const Cost& c) {
    latency += c.latency, work += c.work;
    for (std::size_t i = 0; i < drawn.size(); ++i) drawn[i] += c.draw[i] * c.work.seconds();
    by_provenance[static_cast<std::size_t>(c.provenance)] += c.total();
  }
  Part part(Group group) const {
    Part p{{latency, work, {}, 1}, by_provenance, group};
    for (std::size_t i = 0; i < drawn.size() && work > Time(); ++i)
      p.cost.draw[i] = static_cast<float>(std::clamp(drawn[i] / work.seconds(), 0.0, 1.0));
    return p;
  }
};

}  // namespace

Parts cost_parts(const Works& works, const CostModel& costs, std::int64_t sms) {
  Parts parts;
  Sum sum;
  bool any = false;
  const auto flush = [&] {
    if (any) parts.push_back(sum.part(Group::none));
    sum = {}, any = false;
  };
  for (const Work& w : works) {
    const Cost c = costs.cost(w.shape, sms);
    if (const Group g = group_of(w); g != Group::none) {
      flush();
      Sum alone;
      alone.add(c);
      parts.push_back(alone.part(g));
    } else {
      sum.add(c), any = true;
    }
  }
  flush();
  return parts;
}

}  // namespace railcast
