#include "kernels/unpermute_reference.hpp"

namespace railcast::kernels::reference {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

std::vector<double> unpermute(const UnpermuteArgs& a) {
  std::vector<double> out(index(a.tokens * a.cols));
  for (std::int64_t i = 0; i < a.tokens * a.top_k; ++i) {
    if (a.row_of[i] < 0) continue;
    const double weight = a.weights == nullptr ? 1.0 : a.weights[i];
    const Bf16* row = a.y + a.row_of[i] * a.cols;
    for (std::int64_t c = 0; c < a.cols; ++c) out[index(i / a.top_k * a.cols + c)] += weight * float_from_bf16(row[c]);
  }
  return out;
}

UnpermuteGradients unpermute_backward(const UnpermuteBackwardArgs& a, std::int64_t rows) {
  UnpermuteGradients g{std::vector<double>(index(rows * a.cols)), std::vector<double>(index(a.tokens * a.top_k))};
  for (std::int64_t i = 0; i < a.tokens * a.top_k; ++i) {
    if (a.row_of[i] < 0) continue;
    const double weight = a.weights == nullptr ? 1.0 : a.weights[i];
    for (std::int64_t c = 0; c < a.cols; ++c) {
      const double d = float_from_bf16(a.d_out[i / a.top_k * a.cols + c]);
      const std::int64_t at = a.row_of[i] * a.cols + c;
      g.d_y[index(at)] = weight * d;
      if (a.y != nullptr) g.d_weights[index(i)] += d * float_from_bf16(a.y[at]);
    }
  }
  return g;
}

}  // namespace railcast::kernels::reference
