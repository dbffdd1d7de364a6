// A better placement than heaviest-first: local search from it.
#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "model/packing.hpp"
#include "model/placement.hpp"

namespace railcast {
namespace {

constexpr double kEnough = 1e-3;                    // of the bound: closer is not worth a search
constexpr std::size_t kReceivers = 3, kDonors = 4;  // experts that get a replica, and that give one, tried in turn
constexpr int kRounds = 8;

using Bins = std::vector<std::vector<std::size_t>>;

/// Items in bins of equal size, by their loads.
struct Packing {
  Bins bins;
  std::vector<double> load, sum;  ///< by item; by bin

  Packing(Bins in, std::vector<double> loads) : bins(std::move(in)), load(std::move(loads)) {
    for (const auto& b : bins)
      sum.push_back(std::accumulate(b.begin(), b.end(), 0.0, [&](double s, std::size_t i) { return s + load[i]; }));
  }
  std::size_t busiest() const { return static_cast<std::size_t>(std::ranges::max_element(sum) - sum.begin()); }
  double most() const { return sum[busiest()]; }
  double mean() const { return std::accumulate(sum.begin(), sum.end(), 0.0) / static_cast<double>(sum.size()); }

  /// Swaps an item of the busiest bin for a lighter one of another, the two that leave the lightest pair, while that
  /// makes the busiest bin lighter. Each swap lowers the sum of squares, so it ends.
  void descend() {
    while (most() > mean() * (1 + kEnough) && swap_best(busiest())) {
    }
  }

 private:
  bool swap_best(std::size_t a) {
    double best = sum[a] * (1 - 1e-9);
    std::size_t from = 0, bin = a, to = 0;
    for (std::size_t b = 0; b < bins.size(); ++b)
      for (std::size_t i = 0; b != a && i < bins[a].size(); ++i)
        for (std::size_t j = 0; j < bins[b].size(); ++j) {
          const double less = load[bins[a][i]] - load[bins[b][j]];
          const double left = std::max(sum[a] - less, sum[b] + less);
          if (less > 0 && left < best) best = left, from = i, bin = b, to = j;
        }
    if (bin == a) return false;
    const double less = load[bins[a][from]] - load[bins[bin][to]];
    std::swap(bins[a][from], bins[bin][to]);
    sum[a] -= less, sum[bin] += less;
    return true;
  }
};

std::vector<float> floats(const std::vector<double>& v) { return {v.begin(), v.end()}; }

/// The experts of one node (or of all), how many replicas each has, and where they are.
class Block {
 public:
  Block(std::vector<std::int32_t> experts, std::span<const double> counts, std::size_t gpus)
      : expert_(std::move(experts)), gpus_(gpus) {
    for (std::int32_t e : expert_) load_.push_back(counts[static_cast<std::size_t>(e)]);
  }

  void search(std::size_t places) {
    found_ = packed(replicate(floats(load_), places).count);
    for (int round = 0; round < kRounds && !enough() && exchange_replicas(); ++round) {
    }
  }
  double most() const { return found_->packing.most(); }
  void write(std::span<std::int32_t> slots) const {
    auto slot = slots.begin();
    for (const auto& gpu : found_->packing.bins)
      for (std::size_t i : gpu) *slot++ = expert_[found_->item[i]];
  }

 private:
  struct Found {
    std::vector<std::size_t> count, item;  ///< replicas by expert; expert by replica
    Packing packing;
  };

  bool enough() const {
    const Packing& p = found_->packing;
    return p.most() <= std::max(p.mean(), *std::ranges::max_element(p.load)) * (1 + kEnough);
  }
  Found packed(const std::vector<std::size_t>& count) const {
    std::vector<std::size_t> item;
    std::vector<double> share;
    for (std::size_t e = 0; e < count.size(); ++e) {
      item.insert(item.end(), count[e], e);
      share.insert(share.end(), count[e], load_[e] / static_cast<double>(count[e]));
    }
    Found f{count, item, Packing(pack(floats(share), gpus_), share)};
    f.packing.descend();
    return f;
  }

  // Experts by what a change leaves a replica of theirs; the first n of them.
  template <class Key>
  std::vector<std::size_t> least(std::size_t n, const Key& key) const {
    std::vector<std::pair<double, std::size_t>> keyed;
    for (std::size_t e = 0; e < expert_.size(); ++e)
      if (const std::optional<double> k = key(e)) keyed.push_back({*k, e});
    std::ranges::sort(keyed);
    std::vector<std::size_t> first;
    for (std::size_t i = 0; i < std::min(n, keyed.size()); ++i) first.push_back(keyed[i].second);
    return first;
  }

  // One replica more for an expert of the busiest GPU, one less for an expert that bears it.
  bool exchange_replicas() {
    const Packing& p = found_->packing;
    const auto& busiest = p.bins[p.busiest()];
    const auto& count = found_->count;
    const auto receivers = least(kReceivers, [&](std::size_t e) -> std::optional<double> {
      const bool here = std::ranges::any_of(busiest, [&](std::size_t i) { return found_->item[i] == e; });
      return here ? std::optional(-load_[e] / static_cast<double>(count[e])) : std::nullopt;
    });
    const auto donors = least(kDonors, [&](std::size_t e) -> std::optional<double> {
      return count[e] > 1 ? std::optional(load_[e] / static_cast<double>(count[e] - 1)) : std::nullopt;
    });
    for (std::size_t to : receivers)
      for (std::size_t from : donors) {
        if (to == from) continue;
        auto changed = count;
        ++changed[to], --changed[from];
        Found f = packed(changed);
        if (f.packing.most() >= p.most() * (1 - 1e-9)) continue;
        found_ = std::move(f);
        return true;
      }
    return false;
  }

  std::vector<std::int32_t> expert_;
  std::size_t gpus_;
  std::vector<double> load_;
  std::optional<Found> found_;
};

// Groups to nodes as evenly as swaps make them; the experts of each node.
std::vector<std::vector<std::int32_t>> node_experts(std::span<const double> counts, const PlacementSpec& p) {
  const std::size_t groups = p.hierarchical() ? static_cast<std::size_t>(p.groups) : 1;
  const std::size_t nodes = p.hierarchical() ? static_cast<std::size_t>(p.nodes) : 1;
  const std::size_t size = counts.size() / groups;
  std::vector<double> sums(groups);
  for (std::size_t e = 0; e < counts.size(); ++e) sums[e / size] += counts[e];
  Packing packing(pack(floats(sums), nodes), sums);
  packing.descend();
  std::vector<std::vector<std::int32_t>> experts(nodes);
  for (std::size_t n = 0; n < nodes; ++n)
    for (std::size_t g : packing.bins[n])
      for (std::size_t e = g * size; e < (g + 1) * size; ++e) experts[n].push_back(static_cast<std::int32_t>(e));
  return experts;
}

// The blocks of a layer, each searched; the busiest GPU decides.
std::vector<std::int32_t> searched(std::span<const double> counts, const PlacementSpec& p) {
  std::vector<std::int32_t> slots(static_cast<std::size_t>(p.slots));
  const auto blocks = node_experts(counts, p);
  const std::size_t places = slots.size() / blocks.size();
  for (std::size_t n = 0; n < blocks.size(); ++n) {
    Block b(blocks[n], counts, static_cast<std::size_t>(p.gpus) / blocks.size());
    b.search(places);
    b.write(std::span(slots).subspan(n * places, places));
  }
  return slots;
}

}  // namespace

Placement improve(const ExpertCounts& c, const PlacementSpec& p, const Placement& start) {
  check(p, c.experts);
  Placement out = start;
  for (std::int64_t l = 0; l < c.layers; ++l) {
    const auto slots = searched(c.row(l), p);
    const auto before = gpu_loads(c.row(l), start.row(l), p.gpus), after = gpu_loads(c.row(l), slots, p.gpus);
    if (*std::ranges::max_element(after) < *std::ranges::max_element(before))
      std::ranges::copy(slots, out.row(l).begin());
  }
  return out;
}

}  // namespace railcast
