// What a change of placement sends.
#include <algorithm>
#include <map>
#include <set>

#include "model/placement.hpp"

namespace railcast {
namespace {

using Slots = std::vector<std::int32_t>;

Slots sorted(std::span<const std::int32_t> slots) {
  Slots s(slots.begin(), slots.end());
  std::ranges::sort(s);
  return s;
}

// Experts that both hold.
std::size_t common(const Slots& a, const Slots& b) {
  Slots both;
  std::ranges::set_intersection(a, b, std::back_inserter(both));
  return both.size();
}

// Which new part goes where which old one was: greedily, most in common first, ties to the lowest places.
std::vector<std::size_t> matched(const std::vector<Slots>& from, const std::vector<Slots>& to) {
  struct Pair {
    std::size_t common, place, part;
  };
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < from.size(); ++i)
    for (std::size_t j = 0; j < to.size(); ++j) pairs.push_back({common(from[i], to[j]), i, j});
  std::ranges::stable_sort(pairs, [](const Pair& a, const Pair& b) { return a.common > b.common; });
  constexpr std::size_t kNone = ~std::size_t{0};
  std::vector<std::size_t> part(from.size(), kNone);
  std::vector<bool> taken(to.size());
  for (const Pair& p : pairs)
    if (part[p.place] == kNone && !taken[p.part]) part[p.place] = p.part, taken[p.part] = true;
  return part;
}

std::vector<Slots> parts(std::span<const std::int32_t> slots, std::size_t n) {
  std::vector<Slots> all;
  for (std::size_t i = 0; i < n; ++i) all.push_back(sorted(slots.subspan(i * slots.size() / n, slots.size() / n)));
  return all;
}

// Equal parts of `to` in the order that leaves most in place.
Slots reordered(std::span<const std::int32_t> from, std::span<const std::int32_t> to, std::size_t n) {
  const std::size_t size = to.size() / n;
  Slots out;
  for (std::size_t part : matched(parts(from, n), parts(to, n)))
    out.insert(out.end(), to.begin() + static_cast<std::ptrdiff_t>(part * size),
               to.begin() + static_cast<std::ptrdiff_t>((part + 1) * size));
  return out;
}

/// Chooses who sends what, so that no sender has much more than the others.
class Senders {
 public:
  Senders(std::int64_t gpus, std::int64_t per_node) : sent_(static_cast<std::size_t>(gpus)), per_node_(per_node) {}
  std::int64_t choose(const std::vector<std::int64_t>& holders, std::int64_t to) {
    const auto far = [&](std::int64_t g) { return g / per_node_ != to / per_node_; };
    const auto best = std::ranges::min_element(holders, [&](std::int64_t a, std::int64_t b) {
      return std::tuple(far(a), sent(a), a) < std::tuple(far(b), sent(b), b);
    });
    ++sent(*best);
    return *best;
  }

 private:
  std::int64_t& sent(std::int64_t g) { return sent_[static_cast<std::size_t>(g)]; }
  std::vector<std::int64_t> sent_;
  std::int64_t per_node_;
};

}  // namespace

Placement relabelled(const Placement& from, const Placement& to, const PlacementSpec& p) {
  Placement out = to;
  const auto gpus = static_cast<std::size_t>(p.gpus);
  const std::size_t nodes = p.hierarchical() ? static_cast<std::size_t>(p.nodes) : 1;
  for (std::int64_t l = 0; l < to.layers; ++l) {
    const Slots by_node = reordered(from.row(l), to.row(l), nodes);
    auto slot = out.row(l).begin();
    for (std::size_t n = 0; n < nodes; ++n) {
      const auto part = [&](std::span<const std::int32_t> slots) {
        return slots.subspan(n * slots.size() / nodes, slots.size() / nodes);
      };
      slot = std::ranges::copy(reordered(part(from.row(l)), part(by_node), gpus / nodes), slot).out;
    }
  }
  return out;
}

Moves moves(const Placement& from, const Placement& to, std::int64_t gpus_per_node, double bytes_per_expert) {
  Moves m;
  Senders senders(to.gpus, gpus_per_node);
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> experts;
  std::vector<std::int64_t> into(static_cast<std::size_t>(to.gpus));
  for (std::int64_t l = 0; l < to.layers; ++l) {
    std::map<std::int32_t, std::vector<std::int64_t>> holders;
    for (std::int64_t s = 0; s < from.slots; ++s)
      holders[from.row(l)[static_cast<std::size_t>(s)]].push_back(s / from.per_gpu());
    for (std::int64_t s = 0; s < to.slots; ++s) {
      const std::int64_t gpu = s / to.per_gpu();
      auto& have = holders[to.row(l)[static_cast<std::size_t>(s)]];
      if (std::ranges::find(have, gpu) != have.end()) continue;
      ++experts[{senders.choose(have, gpu), gpu}];
      ++into[static_cast<std::size_t>(gpu)], ++m.experts;
    }
  }
  for (const auto& [pair, n] : experts)
    m.messages.push_back({static_cast<std::uint32_t>(pair.first), static_cast<std::uint32_t>(pair.second),
                          static_cast<double>(n) * bytes_per_expert});
  m.most_into_a_gpu = into.empty() ? 0 : *std::ranges::max_element(into);
  return m;
}

}  // namespace railcast
