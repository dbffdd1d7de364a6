#include "model/loads.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "model/routing.hpp"

namespace railcast {
namespace {

constexpr double kPad = 128;  // rows of a grouped GEMM's tile (GroupedGemm)

std::vector<double> replicas_of(std::span<const std::int32_t> slots, std::size_t experts) {
  std::vector<double> n(experts);
  for (std::int32_t e : slots) ++n.at(static_cast<std::size_t>(e));
  return n;
}

double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

template <class Get>
double largest(const std::vector<RankTraffic>& ranks, const Get& get) {
  double most = 0;
  for (const RankTraffic& r : ranks) most = std::max(most, get(r));
  return most;
}

std::vector<std::int32_t> in_order(std::int64_t experts) {
  std::vector<std::int32_t> slots(static_cast<std::size_t>(experts));
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

/// Which groups a gate keeps: top_groups of them at once, each with its own chance.
class KeptGroups {
 public:
  KeptGroups(std::span<const double> counts, const Router& r)
      : top_(r.top_groups < r.groups ? static_cast<std::size_t>(r.top_groups) : 1),
        kept_(r.top_groups < r.groups ? static_cast<std::size_t>(r.groups) : 1),
        group_(counts.size() / kept_.size()) {
    const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
    for (std::size_t e = 0; e < counts.size(); ++e) kept_[of(e)] += counts[e] / sum;
    cap_shares(kept_, 1 / static_cast<double>(top_));
    for (double& k : kept_) k = std::max(k * static_cast<double>(top_), 1e-9);
    fit_odds();
  }
  std::size_t size() const { return kept_.size(); }
  std::size_t of(std::size_t expert) const { return expert / group_; }
  double kept(std::size_t g) const { return kept_[g]; }
  /// The chance that all groups kept are missed, each missed by itself with `missed`.
  double all_missed(const std::vector<double>& missed) const { return choices(missed, size()) / every_choice_; }

 private:
  // Sum over the ways to keep top_ groups (without `left_out`) of the product of their odds x factor.
  double choices(const std::vector<double>& factor, std::size_t left_out) const {
    std::vector<double> sum(top_ + 1);
    sum[0] = 1;
    for (std::size_t g = 0; g < size(); ++g)
      for (std::size_t n = top_; g != left_out && n > 0; --n) sum[n] += odds_[g] * factor[g] * sum[n - 1];
    return sum[top_];
  }
  // Odds under which each group is kept with its chance: scaled by what is missing, which converges fast.
  void fit_odds() {
    const std::vector<double> all(size(), 1);
    odds_ = kept_;
    for (int round = 0; round < 50; ++round) {
      every_choice_ = choices(all, size());
      std::vector<double> next = odds_;
      for (std::size_t g = 0; g < size(); ++g) next[g] *= kept_[g] / (1 - choices(all, g) / every_choice_);
      const double largest = *std::ranges::max_element(next);  // their scale does not matter
      for (std::size_t g = 0; g < size(); ++g) odds_[g] = std::max(next[g] / largest, 1e-12);
    }
    every_choice_ = choices(all, size());
  }
  std::size_t top_;
  std::vector<double> kept_, odds_;
  std::size_t group_;  ///< its size
  double every_choice_ = 1;
};

}  // namespace

Reached reached(const TokenRoutes& t, std::span<const std::int32_t> slots, std::int64_t ranks, std::int64_t per_node) {
  const std::int64_t most = *std::ranges::max_element(slots), per_rank = std::ssize(slots) / ranks;
  std::vector<std::vector<std::int64_t>> holders(static_cast<std::size_t>(most) + 1);
  for (std::int64_t s = 0; s < std::ssize(slots); ++s)
    holders[static_cast<std::size_t>(slots[static_cast<std::size_t>(s)])].push_back(s / per_rank);
  Reached r{std::vector<double>(static_cast<std::size_t>(ranks)),
            std::vector<double>(static_cast<std::size_t>((ranks + per_node - 1) / per_node))};
  std::vector<std::int64_t> rank_seen(r.rank.size(), -1), node_seen(r.node.size(), -1);
  const auto see = [](std::vector<double>& n, std::vector<std::int64_t>& seen, std::int64_t i, std::int64_t token) {
    const auto at = static_cast<std::size_t>(i);
    if (seen[at] != token) n[at] += 1, seen[at] = token;
  };
  for (std::int64_t token = 0; token < t.tokens; ++token)
    for (std::int32_t e : t.of(token)) {
      const auto& at = holders.at(static_cast<std::size_t>(e));
      const std::int64_t rank = at.at(static_cast<std::size_t>(token) % at.size());
      see(r.rank, rank_seen, rank, token), see(r.node, node_seen, rank / per_node, token);
    }
  for (auto* chances : {&r.rank, &r.node})
    for (double& x : *chances) x /= static_cast<double>(t.tokens);
  return r;
}

LoadModel::LoadModel(const LoadSpec& spec) : spec_(spec) {
  check(spec.router);
  const Router& r = spec.router;
  if (spec.ranks < 1 || r.experts % spec.ranks != 0)
    throw std::invalid_argument(std::to_string(r.experts) + " experts do not divide over " +
                                std::to_string(spec.ranks) + " ranks");
  spec_.per_node = std::clamp<std::int64_t>(spec.per_node, 1, spec.ranks);
  if (spec.ranks % spec_.per_node != 0)
    throw std::invalid_argument(std::to_string(spec.ranks) + " ranks do not fill nodes of " +
                                std::to_string(spec_.per_node));
  const Dispatch d{spec.tokens, 0, r.experts, r.top_k, spec.ranks, r.groups, r.top_groups};
  const Reach reach = expected_reach(d, spec_.per_node, r.group_score);
  kappa_rank_ = fitted(reach.gpus, r.experts / spec.ranks);
  kappa_node_ = fitted(reach.nodes, r.experts / spec.ranks * spec_.per_node);
  const std::vector<double> balanced(static_cast<std::size_t>(r.experts), 1.0);
  const auto slots = in_order(r.experts);
  balanced_seconds_ = port_seconds(traffic(balanced, slots, reached(balanced, slots)));
}

// Bisection on kappa: hits grow with it.
double LoadModel::fitted(double wanted, std::int64_t per_part) const {
  const std::vector<double> balanced(static_cast<std::size_t>(spec_.router.experts), 1.0);
  const auto slots = in_order(spec_.router.experts);
  double low = 0.1, high = 10;
  for (int i = 0; i < 60; ++i) {
    const double kappa = (low + high) / 2;
    const auto chances = hits(balanced, slots, static_cast<std::size_t>(per_part), kappa);
    (std::accumulate(chances.begin(), chances.end(), 0.0) < wanted ? low : high) = kappa;
  }
  return low;
}

// The chance that a token has an expert in each run of `per_part` slots.
std::vector<double> LoadModel::hits(std::span<const double> counts, std::span<const std::int32_t> slots,
                                    std::size_t per_part, double kappa) const {
  const Router& r = spec_.router;
  const KeptGroups groups(counts, r);
  const double top_k = static_cast<double>(r.top_k), sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  const auto replicas = replicas_of(slots, counts.size());
  std::vector<double> taken(counts.size());  // within a part: the chance that a token goes to this expert there
  std::vector<double> chances;
  for (std::size_t first = 0; first < slots.size(); first += per_part) {
    const auto part = slots.subspan(first, per_part);
    for (std::int32_t slot : part) {
      const auto e = static_cast<std::size_t>(slot);
      taken[e] += std::min(1.0, counts[e] / sum * top_k) / replicas[e];
    }
    std::vector<double> missed(groups.size(), 1);
    double most = 0;  // no more tokens than selections
    for (std::int32_t slot : part) {
      const auto e = static_cast<std::size_t>(slot);
      const std::size_t g = groups.of(e);
      if (taken[e] > 0) missed[g] *= std::pow(std::max(0.0, 1 - taken[e] / groups.kept(g)), kappa);
      most += taken[e], taken[e] = 0;
    }
    chances.push_back(std::min(1 - groups.all_missed(missed), most));
  }
  return chances;
}

Reached LoadModel::reached(std::span<const double> counts, std::span<const std::int32_t> slots) const {
  const std::size_t per_rank = slots.size() / static_cast<std::size_t>(spec_.ranks);
  const auto per_node = static_cast<std::size_t>(spec_.per_node);
  return {hits(counts, slots, per_rank, kappa_rank_), hits(counts, slots, per_rank * per_node, kappa_node_)};
}

// A token goes over the NICs once per remote node it reaches, to the GPU of its own rank's in-node index, and from
// there over NVLink to the other GPUs of that node.
std::vector<RankTraffic> LoadModel::traffic(std::span<const double> counts, std::span<const std::int32_t> slots,
                                            const Reached& r) const {
  const double sum = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double all_tokens = static_cast<double>(spec_.tokens * spec_.ranks);
  const double per_node = static_cast<double>(spec_.per_node), nodes = static_cast<double>(r.node.size());
  const auto replicas = replicas_of(slots, counts.size());
  const std::size_t per_rank = slots.size() / static_cast<std::size_t>(spec_.ranks);
  const double all_nodes = std::accumulate(r.node.begin(), r.node.end(), 0.0);
  std::vector<double> node_ranks(r.node.size());  // GPUs that a token reaches there
  for (std::size_t i = 0; i < r.rank.size(); ++i) node_ranks[i / static_cast<std::size_t>(spec_.per_node)] += r.rank[i];
  std::vector<RankTraffic> all(r.rank.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    RankTraffic& t = all[i];
    for (std::int32_t slot : slots.subspan(i * per_rank, per_rank)) {
      const auto e = static_cast<std::size_t>(slot);
      const double rows = counts[e] / sum * all_tokens * static_cast<double>(spec_.router.top_k) / replicas[e];
      t.rows += rows, t.padded += std::ceil(rows / kPad - 1e-9) * kPad;
    }
    const std::size_t node = i / static_cast<std::size_t>(spec_.per_node);
    t.tokens = all_tokens * r.rank[i];
    t.nic_out = static_cast<double>(spec_.tokens) * (all_nodes - r.node[node]) * spec_.row_bytes;
    t.nic_in = static_cast<double>(spec_.tokens) * (nodes - 1) * r.node[node] * spec_.row_bytes;
    t.nvlink_in = t.tokens * (1 - 1 / per_node) * spec_.row_bytes;
    t.nvlink_out = all_tokens / per_node * (node_ranks[node] - r.rank[i]) * spec_.row_bytes;
  }
  return all;
}

double LoadModel::port_seconds(const std::vector<RankTraffic>& ranks) const {
  const double nic = largest(ranks, [](const RankTraffic& r) { return std::max(r.nic_in, r.nic_out); });
  const double nvlink = largest(ranks, [](const RankTraffic& r) { return std::max(r.nvlink_in, r.nvlink_out); });
  const double on_nic = nic > 0 ? nic / spec_.nic.per_second() : 0;
  return std::max(on_nic, nvlink > 0 ? nvlink / spec_.nvlink.per_second() : 0);
}

LayerTraffic LoadModel::layer(std::span<const double> counts, std::span<const std::int32_t> slots) const {
  return layer(counts, slots, reached(counts, slots));
}

LayerTraffic LoadModel::layer(std::span<const double> counts, std::span<const std::int32_t> slots,
                              const Reached& r) const {
  LayerTraffic t;
  t.rank = traffic(counts, slots, r);
  std::vector<double> ranks, nodes(r.node.size());
  for (std::size_t i = 0; i < t.rank.size(); ++i) {
    ranks.push_back(t.rank[i].rows);
    nodes[i / static_cast<std::size_t>(spec_.per_node)] += t.rank[i].rows;
  }
  t.rank_imbalance = imbalance(ranks), t.node_imbalance = imbalance(nodes), t.expert_imbalance = imbalance(counts);
  for (const RankTraffic& x : t.rank) t.load.rows.push_back(x.padded / mean(ranks));
  t.load.exchange = balanced_seconds_ > 0 ? port_seconds(t.rank) / balanced_seconds_ : 1;
  t.load.experts = std::ssize(slots) / spec_.ranks;
  return t;
}

}  // namespace railcast
