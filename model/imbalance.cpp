#include <algorithm>
#include <cmath>

#include "model/layer.hpp"

namespace railcast {
namespace {

struct Scale {
  RankLoad load = {};
  bool of_experts;  // the op works on the experts' rows
  void rows(std::int64_t& n) const { n = std::llround(load.rows * static_cast<double>(n)); }
  /// `n` rows in each of `groups` experts: the sum grows by load.rows.
  void rows(std::int64_t& n, std::int64_t& groups) const {
    const std::int64_t now = load.experts > 0 ? load.experts : groups;
    n = std::llround(load.rows * static_cast<double>(n * groups) / static_cast<double>(now));
    groups = now;
  }

  void operator()(GroupedGemm& s) const { rows(s.m, s.groups); }
  void operator()(WgradGrouped& s) const { rows(s.k, s.groups); }
  void operator()(Permute& s) const { rows(s.tokens), rows(s.rows); }
  void operator()(Unpermute& s) const { rows(s.tokens), rows(s.rows); }
  void operator()(Dispatch& s) const { exchanged(s.tokens); }
  void operator()(Combine& s) const { exchanged(s.tokens); }
  void operator()(Quantize& s) const {
    if (of_experts) rows(s.rows);
  }
  void operator()(SwiGlu& s) const {
    if (of_experts) rows(s.rows);
  }
  template <class Other>
  void operator()(Other&) const {}

 private:
  void exchanged(std::int64_t& n) const { n = std::llround(load.exchange * static_cast<double>(n)); }
};

}  // namespace

double LayerLoad::most_rows() const { return rows.empty() ? 1 : *std::ranges::max_element(rows); }

void load_experts(LayerWork& w, const RankLoad& load) {
  if (load.rows == 1 && load.exchange == 1 && load.experts == 0) return;
  for (Works* works : {&w.dispatch_f, &w.mlp_f, &w.combine_f, &w.combine_b, &w.mlp_b, &w.mlp_w, &w.dispatch_b})
    for (Work& op : *works) std::visit(Scale{load, op.what.starts_with("experts.")}, op.shape);
}

}  // namespace railcast
