#include "cli/worth.hpp"

#include <algorithm>
#include <map>

#include "model/layer.hpp"

namespace railcast {
namespace {

/// Empty for shapes that railcast-measure takes no list of.
std::string line_of(const Shape& s) {
  return std::visit(
      [&](const auto& x) -> std::string {
        std::string line = stem(s);
        const auto add = [&](std::int64_t v) { line += "," + std::to_string(v); };
        if constexpr (requires { x.groups, x.m, x.n, x.k; }) add(x.groups);
        if constexpr (requires { x.m, x.n, x.k; }) {
          add(x.m), add(x.n), add(x.k);
          if (std::holds_alternative<GroupedGemm>(s)) add(0);
          return line;
        }
        return "";
      },
      s);
}

}  // namespace

std::vector<Worth> worth_measuring(const Scenario& s, const std::function<Uncertain(const Shape&)>& cost) {
  const LayerWork w =
      layer_work(s.model, s.plan, s.model.num_hidden_layers - 1, s.train.sequence, s.machine.gpus_per_node);
  std::map<std::string, double> seconds;
  for (const Works* works : {&w.attn_f, &w.mlp_f, &w.attn_b, &w.mlp_b, &w.attn_w, &w.mlp_w})
    for (const Work& work : *works) {
      const std::string line = line_of(work.shape);
      if (line.empty()) continue;
      const Uncertain u = cost(work.shape);
      seconds[line] += u.seconds * u.spread;
    }
  std::vector<Worth> all;
  for (const auto& [line, value] : seconds) all.push_back({line, value});
  std::ranges::stable_sort(all, std::ranges::greater(), &Worth::seconds);
  return all;
}

}  // namespace railcast
