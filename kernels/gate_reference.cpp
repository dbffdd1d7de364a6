#include "kernels/gate_reference.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace railcast::kernels::reference {
namespace {

using Row = std::vector<double>;
std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

Row scores_of(const Gating& g, const float* logits) {
  Row s(logits, logits + g.experts);
  if (g.scoring == Scoring::sigmoid) {
    for (double& x : s) x = 1 / (1 + std::exp(-x));
    return s;
  }
  const double top = *std::max_element(s.begin(), s.end());
  double sum = 0;
  for (double& x : s) sum += x = std::exp(x - top);
  for (double& x : s) x /= sum;
  return s;
}

/// The `count` largest, best first, ties to the lower index.
std::vector<int> best(const Row& x, int count) {
  std::vector<int> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&x](int a, int b) { return x[index(a)] > x[index(b)]; });
  order.resize(index(count));
  return order;
}

Row worth_of_groups(const Gating& g, const Row& choice) {
  const auto size = g.experts / g.groups;
  Row worth;
  for (auto first = choice.begin(); first != choice.end(); first += size) {
    Row members(first, first + size);
    std::sort(members.begin(), members.end(), std::greater<>());
    worth.push_back(std::accumulate(members.begin(), members.begin() + std::min<std::int64_t>(g.group_sum, size), 0.0));
  }
  return worth;
}

void close_groups(const Gating& g, const Row& worth, Row& choice) {
  const std::vector<int> open = best(worth, g.top_groups);
  for (std::int64_t e = 0; e < g.experts; ++e) {
    const int group = static_cast<int>(e / (g.experts / g.groups));
    if (std::find(open.begin(), open.end(), group) == open.end())
      choice[index(e)] = -std::numeric_limits<double>::infinity();
  }
}

/// Scores of the chosen to weights.
void weigh(const Gating& g, Row& chosen) {
  const double sum = g.normalise ? std::accumulate(chosen.begin(), chosen.end(), 0.0) : 1.0;
  for (double& w : chosen) w *= g.scale / sum;
}

void append(const Row& from, Row& to) { to.insert(to.end(), from.begin(), from.end()); }

}  // namespace

Gated gate(const GateArgs& a) {
  const Gating& g = a.gating;
  Gated out;
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const Row scores = scores_of(g, a.logits + t * g.experts);
    Row choice = scores;
    for (std::int64_t e = 0; e < g.experts && a.bias != nullptr; ++e) choice[index(e)] += a.bias[e];
    const Row worth = worth_of_groups(g, choice);
    if (g.groups > 1) close_groups(g, worth, choice);
    Row chosen;
    for (const int e : best(choice, g.top_k)) {
      out.experts.push_back(e);
      chosen.push_back(scores[index(e)]);
    }
    weigh(g, chosen);
    append(chosen, out.weights), append(choice, out.choice), append(worth, out.worth);
  }
  return out;
}

bool same_within_ties(const Gated& r, const Gating& g, std::int64_t token, const int* experts, double slack) {
  const double* choice = r.choice.data() + token * g.experts;
  const auto worth = Row(r.worth.begin() + token * g.groups, r.worth.begin() + (token + 1) * g.groups);
  Row sorted = worth;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const bool close_groups_tie =
      g.groups > g.top_groups && sorted[index(g.top_groups - 1)] - sorted[index(g.top_groups)] <= slack;
  for (int k = 0; k < g.top_k; ++k) {
    const int mine = experts[k], theirs = r.experts[index(token * g.top_k + k)];
    if (mine < 0 || mine >= g.experts || std::count(experts, experts + g.top_k, mine) != 1) return false;
    if (close_groups_tie || mine == theirs) continue;
    if (!(std::fabs(choice[mine] - choice[theirs]) <= slack)) return false;
  }
  return true;
}

std::vector<double> gate_backward(const GateBackwardArgs& a) {
  const Gating& g = a.gating;
  std::vector<double> out;
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const Row s = scores_of(g, a.logits + t * g.experts);
    const int* experts = a.experts + t * g.top_k;
    const float* d_w = a.d_weights + t * g.top_k;
    double sum = 0, pulled = 0;  // of the chosen scores, and of d_w * score
    for (int k = 0; k < g.top_k; ++k) sum += s[index(experts[k])], pulled += double{d_w[k]} * s[index(experts[k])];
    Row d(index(g.experts));
    for (int k = 0; k < g.top_k; ++k)
      d[index(experts[k])] = g.normalise ? g.scale / sum * (d_w[k] - pulled / sum) : double{g.scale} * d_w[k];
    const double through = std::inner_product(d.begin(), d.end(), s.begin(), 0.0);
    for (std::size_t e = 0; e < s.size(); ++e)
      out.push_back(g.scoring == Scoring::sigmoid ? d[e] * s[e] * (1 - s[e]) : s[e] * (d[e] - through));
  }
  return out;
}

std::vector<float> gate_bias_update(const GateBiasArgs& a) {
  const std::int64_t total = std::accumulate(a.counts, a.counts + a.experts, std::int64_t{0});
  std::vector<float> bias(a.bias, a.bias + a.experts);
  for (std::int64_t e = 0; e < a.experts; ++e) {
    const std::int64_t behind = total - a.counts[e] * a.experts;  // mean - count, times experts: exact
    bias[index(e)] += static_cast<float>((behind > 0) - (behind < 0)) * a.speed;
  }
  return bias;
}

}  // namespace railcast::kernels::reference
