#include "kernels/swiglu_reference.hpp"

namespace railcast::kernels::reference {
namespace {

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

std::size_t at(std::int64_t row, std::int64_t cols, std::int64_t col) {
  return static_cast<std::size_t>(row * cols + col);
}

}  // namespace

std::vector<double> swiglu(const SwiGluArgs& a) {
  std::vector<double> h(at(a.rows, a.cols, 0));
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const double weight = a.weight == nullptr ? 1.0 : a.weight[r];
    for (std::int64_t c = 0; c < a.cols; ++c) {
      const double gate = float_from_bf16(a.gate_up[at(r, 2 * a.cols, c)]);
      const double up = float_from_bf16(a.gate_up[at(r, 2 * a.cols, a.cols + c)]);
      h[at(r, a.cols, c)] = gate * sigmoid(gate) * up * weight;
    }
  }
  return h;
}

SwiGluGradients swiglu_backward(const SwiGluBackwardArgs& a) {
  const auto cached = [&a](std::int64_t r, std::int64_t c) {
    const float scale = a.gate_up_scales[c / kScaleGroup * a.scale_stride + r];
    return static_cast<double>(float_from_e4m3(a.gate_up[at(r, 2 * a.cols, c)])) * scale;
  };
  SwiGluGradients g{std::vector<double>(at(a.rows, 2 * a.cols, 0)), std::vector<double>(at(a.rows, a.cols, 0)),
                    std::vector<double>(static_cast<std::size_t>(a.rows))};
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const double weight = a.weight == nullptr ? 1.0 : a.weight[r];
    for (std::int64_t c = 0; c < a.cols; ++c) {
      const double gate = cached(r, c), up = cached(r, a.cols + c), s = sigmoid(gate);
      const double d_h = float_from_bf16(a.d_h[at(r, a.cols, c)]);
      g.d_gate_up[at(r, 2 * a.cols, c)] = d_h * weight * up * s * (1 + gate * (1 - s));
      g.d_gate_up[at(r, 2 * a.cols, a.cols + c)] = d_h * weight * gate * s;
      g.h[at(r, a.cols, c)] = gate * s * up * weight;
      g.d_weight[static_cast<std::size_t>(r)] += d_h * gate * s * up;
    }
  }
  return g;
}

}  // namespace railcast::kernels::reference
