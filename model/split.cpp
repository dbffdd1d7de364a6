#include "model/split.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "model/layer.hpp"
#include "model/rank_program.hpp"

namespace railcast {
namespace {

using Counts = std::vector<std::int64_t>;  ///< layers by stage

double sum(const Works& works) {
  double f = 0;
  for (const auto& w : works) f += flops(w.shape);
  return f;
}

/// FLOPs of one micro-batch's forward on a rank: of every layer, and of what the first and the last stage do besides.
struct ForwardFlops {
  std::vector<double> up_to;  ///< up_to[l]: of layers 0 .. l-1
  double embedding = 0, head = 0;
  double stage(std::size_t first, std::size_t end) const {
    return up_to[end] - up_to[first] + (first == 0 ? embedding : 0) + (end + 1 == up_to.size() ? head : 0);
  }
};

double layer_flops(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence) {
  const auto w = layer_work(t, p, layer, sequence, 1);  // FLOPs do not depend on GPUs per node
  return sum(w.attn_f) + sum(w.mlp_f);
}

ForwardFlops forward_flops(const Transformer& t, const Plan& p, std::int64_t sequence) {
  ForwardFlops f;
  f.embedding = sum(embedding_work(t, p, sequence, 1).forward);
  f.head = sum(head_work(t, p, sequence, 1).forward);
  f.up_to.assign(1, 0.0);
  for (std::int64_t l = 0; l < t.num_hidden_layers; ++l)
    f.up_to.push_back(f.up_to.back() + layer_flops(t, p, l, sequence));
  if (t.num_nextn_predict_layers > 0) {
    const double own = sum(mtp_edge_work(t, p, sequence, 1).forward) + layer_flops(t, p, t.num_hidden_layers, sequence);
    f.head += static_cast<double>(t.num_nextn_predict_layers) * (own + f.head);
  }
  return f;
}

/// The smallest maximum of a stage's FLOPs over splits into `stages` with a layer each at least: for every number of
/// stages, over the end of the last one.
double smallest_maximum(const ForwardFlops& f, std::size_t stages) {
  const std::size_t layers = f.up_to.size() - 1;
  std::vector<double> best(layers + 1, HUGE_VAL);  // of the first layers in the stages so far
  best[0] = 0;
  for (std::size_t s = 0; s < stages; ++s) {
    std::vector<double> more(layers + 1, HUGE_VAL);
    for (std::size_t first = s; first < layers; ++first)
      for (std::size_t end = first + 1; end <= layers; ++end)
        more[end] = std::min(more[end], std::max(best[first], f.stage(first, end)));
    best = more;
  }
  return best[layers];
}

/// Among the splits with the smallest maximum, the one with the smallest sum of squares (the most even besides), and
/// among those the one whose earliest stages take more. Solved from the last stage back.
Counts balanced(const ForwardFlops& f, std::size_t stages) {
  const std::size_t layers = f.up_to.size() - 1;
  const double limit = smallest_maximum(f, stages);
  std::vector<double> rest(layers + 1, HUGE_VAL);  // squares of the stages after this one, by their first layer
  rest[layers] = 0;
  std::vector<std::vector<std::size_t>> ends(stages, std::vector<std::size_t>(layers + 1, 0));
  for (std::size_t s = stages; s-- > 0;) {
    std::vector<double> now(layers + 1, HUGE_VAL);
    for (std::size_t first = s; first < layers; ++first)
      for (std::size_t end = layers; end > first; --end) {
        const double x = f.stage(first, end) / limit, squares = x * x + rest[end];
        if (x > 1 || !(squares < now[first] * (1 - 1e-12))) continue;  // 1e-12: equal but for rounding
        now[first] = squares;
        ends[s][first] = end;
      }
    rest = now;
  }
  Counts counts;
  for (std::size_t s = 0, first = 0; s < stages; first = ends[s++][first])
    counts.push_back(static_cast<std::int64_t>(ends[s][first] - first));
  return counts;
}

Counts uniform(std::int64_t layers, std::int64_t stages) {
  Counts counts(static_cast<std::size_t>(stages), layers / stages);
  for (std::int64_t s = 0; s < layers % stages; ++s) ++counts[static_cast<std::size_t>(s)];
  return counts;
}

/// As the plan says it; the first and the last stage may be without layers of their own.
const Counts& listed(const Plan& p, std::int64_t layers) {
  const Counts& list = p.split_layers;
  const std::string expected = std::to_string(stages(p)) + " stages";
  require(std::ssize(list) == stages(p),
          "plan.split: the list has " + std::to_string(list.size()) + " entries for " + expected);
  std::int64_t total = 0;
  for (std::size_t s = 0; s < list.size(); ++s) {
    const bool edge = s == 0 || s + 1 == list.size();
    require(list[s] >= (edge ? 0 : 1), "plan.split: stage " + std::to_string(s) + " has " + std::to_string(list[s]) +
                                           " layers; only the first and the last stage may have none");
    total += list[s];
  }
  require(total == layers,
          "plan.split: the list sums to " + std::to_string(total) + " layers, the model has " + std::to_string(layers));
  return list;
}

Counts layer_counts(const Transformer& t, const Plan& p, std::int64_t sequence) {
  const std::int64_t layers = t.num_hidden_layers, n = stages(p);
  if (p.split == "list") return listed(p, layers);
  require(n <= layers, "plan.pp: " + std::to_string(layers) + " layers cannot fill " + std::to_string(n) +
                           " stages; use fewer stages (pp, vp or another schedule)");
  if (p.split == "uniform") return uniform(layers, n);
  require(p.split == "balanced",
          "plan.split: \"" + p.split + "\" is not \"balanced\", \"uniform\" or a list of layers per stage");
  return balanced(forward_flops(t, p, sequence), static_cast<std::size_t>(n));
}

}  // namespace

std::vector<StageLayers> split_layers(const Transformer& t, const Plan& p, std::int64_t sequence) {
  std::vector<StageLayers> split;
  std::int64_t first = 0;
  for (const std::int64_t count : layer_counts(t, p, sequence)) {
    split.push_back({first, count, split.empty(), false});
    first += count;
  }
  split.back().head = true;
  return split;
}

}  // namespace railcast
