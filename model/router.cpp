#include "model/router.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "model/random.hpp"

namespace railcast {

Router router_of(const Transformer& t) {
  return {t.n_routed_experts, t.num_experts_per_tok, t.n_group, t.topk_group, t.scoring_func == "sigmoid"};
}

void check(const Router& r) {
  const auto text = [](std::int64_t n) { return std::to_string(n); };
  if (r.experts < 1 || r.groups < 1 || r.experts % r.groups != 0)
    throw std::invalid_argument(text(r.experts) + " experts do not divide over " + text(r.groups) + " groups");
  if (r.top_groups < 1 || r.top_groups > r.groups)
    throw std::invalid_argument("the gate keeps " + text(r.top_groups) + " groups of " + text(r.groups) +
                                "; expected 1 to " + text(r.groups));
  const std::int64_t left = r.top_groups * (r.experts / r.groups);
  if (r.top_k < 1 || r.top_k > left)
    throw std::invalid_argument("top_k " + text(r.top_k) + " of the " + text(left) + " experts in the groups kept");
}

TokenGate::TokenGate(const Router& r) : router_(r) {
  check(r);
  score_.resize(static_cast<std::size_t>(r.experts)), biased_.resize(score_.size());
  group_.resize(static_cast<std::size_t>(r.groups));
}

void TokenGate::score(std::span<const double> logits, std::span<const double> bias) {
  if (router_.sigmoid) {
    for (std::size_t e = 0; e < score_.size(); ++e) score_[e] = 1 / (1 + std::exp(-logits[e]));
  } else {
    const double largest = *std::ranges::max_element(logits);
    double sum = 0;
    for (std::size_t e = 0; e < score_.size(); ++e) sum += score_[e] = std::exp(logits[e] - largest);
    for (double& s : score_) s /= sum;
  }
  for (std::size_t e = 0; e < score_.size(); ++e) biased_[e] = score_[e] + (bias.empty() ? 0 : bias[e]);
}

// The experts of the groups kept become the candidates.
void TokenGate::keep_groups() {
  const std::size_t size = score_.size() / group_.size();
  for (std::size_t g = 0; g < group_.size(); ++g) {
    double best = -INFINITY, second = -INFINITY;
    for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
      second = std::max(second, std::min(best, biased_[e]));
      best = std::max(best, biased_[e]);
    }
    const bool both = router_.group_score == GroupScore::top2_sum && size > 1;
    group_[g] = {both ? best + second : best, static_cast<std::int32_t>(g)};
  }
  const auto kept = group_.begin() + router_.top_groups;
  std::partial_sort(group_.begin(), kept, group_.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  candidate_.clear();
  for (auto g = group_.begin(); g != kept; ++g)
    for (std::size_t e = 0; e < size; ++e)
      candidate_.push_back(g->second * static_cast<std::int32_t>(size) + static_cast<std::int32_t>(e));
}

std::span<const std::int32_t> TokenGate::choose(std::span<const double> logits, std::span<const double> bias) {
  if (logits.size() != score_.size() || (!bias.empty() && bias.size() != score_.size()))
    throw std::invalid_argument("expected a logit and a bias for each of " + std::to_string(score_.size()) +
                                " experts");
  score(logits, bias);
  keep_groups();
  std::partial_sort(candidate_.begin(), candidate_.begin() + router_.top_k, candidate_.end(),
                    [&](std::int32_t a, std::int32_t b) {
                      const double x = biased_[static_cast<std::size_t>(a)], y = biased_[static_cast<std::size_t>(b)];
                      return x != y ? x > y : a < b;
                    });
  candidate_.resize(static_cast<std::size_t>(router_.top_k));
  return candidate_;
}

std::vector<double> TokenGate::weights() const {
  std::vector<double> w;
  for (std::int32_t e : candidate_) w.push_back(score_[static_cast<std::size_t>(e)]);
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& x : w) x /= sum;
  return w;
}

TokenRoutes sample_routes(const Router& r, std::span<const double> shares, std::int64_t tokens, std::uint64_t seed,
                          std::span<const double> bias) {
  TokenGate gate(r);
  TokenRoutes out{tokens, r.top_k, {}};
  std::vector<double> centre, logits(shares.size());
  for (double s : shares) centre.push_back(std::log(std::max(s, 1e-12) * static_cast<double>(r.experts)));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::size_t e = 0; e < logits.size(); ++e) logits[e] = centre[e] + gumbel_of(hash_of(seed, t, e));
    const auto chosen = gate.choose(logits, bias);
    out.expert.insert(out.expert.end(), chosen.begin(), chosen.end());
  }
  return out;
}

std::vector<double> counts_of(const TokenRoutes& t, std::int64_t experts) {
  std::vector<double> n(static_cast<std::size_t>(experts));
  for (std::int32_t e : t.expert) ++n.at(static_cast<std::size_t>(e));
  return n;
}

std::vector<BiasStep> balance_by_bias(const Router& r, std::span<const double> shares, const BiasUpdate& u,
                                      std::uint64_t seed, std::vector<double>& bias) {
  std::vector<BiasStep> steps;
  bias.resize(static_cast<std::size_t>(r.experts));
  const double mean = static_cast<double>(u.tokens * r.top_k) / static_cast<double>(r.experts);
  for (std::int64_t step = 0; step < u.steps; ++step) {
    const auto n = counts_of(sample_routes(r, shares, u.tokens, hash_of(seed, step), bias), r.experts);
    steps.push_back({step, *std::ranges::max_element(n) / mean});
    for (std::size_t e = 0; e < bias.size(); ++e) bias[e] += n[e] > mean ? -u.gamma : n[e] < mean ? u.gamma : 0;
  }
  return steps;
}

}  // namespace railcast
