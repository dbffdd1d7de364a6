// How far a token's copies travel: distinct nodes and GPUs of its experts.
#include <algorithm>
#include <functional>
#include <span>
#include <stdexcept>

#include "model/cost.hpp"

namespace railcast {
namespace {

constexpr std::uint64_t kSeed = 0x7261'696c'6361'7374;  // any; fixed so that two runs agree
constexpr std::int64_t kTokens = 1024;
constexpr std::uint64_t kExpert = 0xffff;  // a score's low bits carry its expert; two bits are free, so that two add up

// splitmix64's finaliser (Steele, Lea, Flood 2014).
std::uint64_t hashed(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

// Expected number of `parts` equal shares of the experts holding at least one of top_k drawn without replacement.
double hit_parts(std::int64_t experts, std::int64_t top_k, std::int64_t parts) {
  const std::int64_t elsewhere = experts - experts / parts;
  double none = 1;
  for (std::int64_t i = 0; i < top_k; ++i) {
    none *= static_cast<double>(std::max<std::int64_t>(0, elsewhere - i)) / static_cast<double>(experts - i);
  }
  return static_cast<double>(parts) * (1 - none);
}

/// A gate with a group limit, routing one token at a time over uniform scores.
class Gating {
 public:
  Gating(const Dispatch& d, GroupScore score)
      : dispatch_(d),
        score_(score),
        scores_(static_cast<std::size_t>(d.experts)),
        group_(static_cast<std::size_t>(d.groups)) {}

  /// The top_k experts of `token`.
  std::span<const std::uint64_t> route(std::int64_t token) {
    const auto base = hashed(kSeed + static_cast<std::uint64_t>(token));
    for (std::size_t e = 0; e < scores_.size(); ++e) scores_[e] = (hashed(base ^ e) >> 2 & ~kExpert) | e;
    const std::int64_t size = dispatch_.experts / dispatch_.groups;
    for (std::int64_t g = 0; g < dispatch_.groups; ++g)
      group_[static_cast<std::size_t>(g)] = {value(g * size, size), g};
    std::partial_sort(group_.begin(), group_.begin() + dispatch_.top_groups, group_.end(), std::greater<>());
    return best_of_groups(size);
  }

 private:
  std::uint64_t value(std::int64_t first, std::int64_t size) const {
    std::uint64_t best = 0, second = 0;
    for (std::int64_t e = first; e < first + size; ++e) {
      const std::uint64_t s = scores_[static_cast<std::size_t>(e)];
      second = std::max(second, std::min(best, s));
      best = std::max(best, s);
    }
    return score_ == GroupScore::best ? best : best + second;
  }
  std::span<const std::uint64_t> best_of_groups(std::int64_t size) {
    chosen_.clear();
    for (std::int64_t g = 0; g < dispatch_.top_groups; ++g) {
      const auto first = scores_.begin() + group_[static_cast<std::size_t>(g)].second * size;
      chosen_.insert(chosen_.end(), first, first + size);
    }
    std::nth_element(chosen_.begin(), chosen_.begin() + dispatch_.top_k - 1, chosen_.end(), std::greater<>());
    chosen_.resize(static_cast<std::size_t>(dispatch_.top_k));
    for (auto& c : chosen_) c &= kExpert;
    return chosen_;
  }
  const Dispatch& dispatch_;
  GroupScore score_;
  std::vector<std::uint64_t> scores_;
  std::vector<std::pair<std::uint64_t, std::int64_t>> group_;  // value, index
  std::vector<std::uint64_t> chosen_;
};

// Number of distinct values of expert / share among the chosen.
double distinct(std::span<const std::uint64_t> chosen, std::int64_t share, std::vector<std::int64_t>& seen,
                std::int64_t token) {
  double n = 0;
  for (const std::uint64_t e : chosen) {
    std::int64_t& last = seen[e / static_cast<std::uint64_t>(share)];
    if (last != token) ++n;
    last = token;
  }
  return n;
}

void check(const Dispatch& d, std::int64_t ranks_per_node) {
  const bool whole = d.ranks > 0 && d.experts % d.ranks == 0 && d.groups > 0 && d.experts % d.groups == 0;
  if (!whole || ranks_per_node < 1 || d.experts > static_cast<std::int64_t>(kExpert)) {
    throw std::invalid_argument("the experts (" + std::to_string(d.experts) + ") do not divide over the ranks (" +
                                std::to_string(d.ranks) + ") or the groups (" + std::to_string(d.groups) + ")");
  }
  if (d.top_groups < 1 || d.top_groups > d.groups || d.top_k < 1 || d.top_k > d.top_groups * (d.experts / d.groups)) {
    throw std::invalid_argument("top_k " + std::to_string(d.top_k) + " does not fit in the top groups");
  }
}

}  // namespace

Reach expected_reach(const Dispatch& d, std::int64_t ranks_per_node, GroupScore score) {
  check(d, ranks_per_node);
  const std::int64_t per_node = std::min(ranks_per_node, d.ranks);
  const std::int64_t nodes = (d.ranks + per_node - 1) / per_node;
  Reach r;
  if (d.top_groups == d.groups) {
    r.nodes = hit_parts(d.experts, d.top_k, nodes);
    r.gpus = hit_parts(d.experts, d.top_k, d.ranks);
  } else {
    Gating gate(d, score);
    std::vector<std::int64_t> node_seen(static_cast<std::size_t>(nodes), -1),
        gpu_seen(static_cast<std::size_t>(d.ranks), -1);
    const std::int64_t per_gpu = d.experts / d.ranks;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      const auto chosen = gate.route(token);
      r.nodes += distinct(chosen, per_gpu * per_node, node_seen, token) / static_cast<double>(kTokens);
      r.gpus += distinct(chosen, per_gpu, gpu_seen, token) / static_cast<double>(kTokens);
    }
  }
  r.remote_nodes = r.nodes * (1 - 1 / static_cast<double>(nodes));
  r.remote_gpus_in_node = r.gpus * (1 - 1 / static_cast<double>(per_node));
  return r;
}

}  // namespace railcast
