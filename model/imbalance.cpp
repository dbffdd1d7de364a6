#include <cmath>

#include "model/layer.hpp"

namespace railcast {
namespace {

struct Scale {
  double factor;
  bool of_experts;  // the op works on the experts' rows
  void operator()(std::int64_t& n) const { n = std::llround(factor * static_cast<double>(n)); }

  void operator()(GroupedGemm& s) const { (*this)(s.m); }
  void operator()(WgradGrouped& s) const { (*this)(s.k); }
  void operator()(Permute& s) const { (*this)(s.tokens), (*this)(s.rows); }
  void operator()(Unpermute& s) const { (*this)(s.tokens), (*this)(s.rows); }
  void operator()(Dispatch& s) const { (*this)(s.tokens); }
  void operator()(Combine& s) const { (*this)(s.tokens); }
  void operator()(Quantize& s) const {
    if (of_experts) (*this)(s.rows);
  }
  void operator()(SwiGlu& s) const {
    if (of_experts) (*this)(s.rows);
  }
  template <class Other>
  void operator()(Other&) const {}
};

}  // namespace

void load_experts(LayerWork& w, double imbalance) {
  if (imbalance == 1) return;
  for (Works* works : {&w.dispatch_f, &w.mlp_f, &w.combine_f, &w.combine_b, &w.mlp_b, &w.mlp_w, &w.dispatch_b})
    for (Work& op : *works) std::visit(Scale{imbalance, op.what.starts_with("experts.")}, op.shape);
}

}  // namespace railcast
