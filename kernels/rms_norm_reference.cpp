#include "kernels/rms_norm_reference.hpp"

namespace railcast::kernels::reference {

Normed rms_norm(const RmsNormArgs& a) {
  Normed out;
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const Bf16* x = a.x + r * a.cols;
    double squares = 0;
    for (std::int64_t c = 0; c < a.cols; ++c) squares += std::pow(double{float_from_bf16(x[c])}, 2);
    out.rstd.push_back(1 / std::sqrt(squares / static_cast<double>(a.cols) + a.epsilon));
    for (std::int64_t c = 0; c < a.cols; ++c)
      out.y.push_back(float_from_bf16(x[c]) * out.rstd.back() * float_from_bf16(a.weight[c]));
  }
  return out;
}

NormGradients rms_norm_backward(const RmsNormBackwardArgs& a) {
  NormGradients out{{}, std::vector<double>(static_cast<std::size_t>(a.cols))};
  for (std::int64_t r = 0; r < a.rows; ++r) {
    const Bf16 *x = a.x + r * a.cols, *d_y = a.d_y + r * a.cols;
    const double rstd = a.rstd[r];
    double dot = 0;
    for (std::int64_t c = 0; c < a.cols; ++c)
      dot += double{float_from_bf16(d_y[c])} * float_from_bf16(a.weight[c]) * float_from_bf16(x[c]);
    const double pull = dot / static_cast<double>(a.cols) * rstd * rstd;
    for (std::int64_t c = 0; c < a.cols; ++c) {
      const double xc = float_from_bf16(x[c]), d = float_from_bf16(d_y[c]);
      out.d_x.push_back(rstd * (d * float_from_bf16(a.weight[c]) - xc * pull));
      out.d_weight[static_cast<std::size_t>(c)] += d * xc * rstd;
    }
  }
  return out;
}

}  // namespace railcast::kernels::reference
