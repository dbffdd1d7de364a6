#include "kernels/adamw_reference.hpp"

#include <algorithm>

namespace railcast::kernels::reference {

AdamW adamw(const AdamWArgs& a) {
  const double clip = a.norm == nullptr ? 1.0 : std::min(1.0, a.most_norm / (*a.norm + 1e-6));
  const double beta1 = a.beta1, beta2 = a.beta2, rate = a.rate;
  const double correct1 = 1 - std::pow(beta1, a.step), correct2 = 1 - std::pow(beta2, a.step);
  AdamW out;
  for (std::int64_t i = 0; i < a.parameters; ++i) {
    const double g = a.gradient[i] * clip;
    const double m = beta1 * float_from_bf16(a.m[i]) + (1 - beta1) * g;
    const double v = beta2 * float_from_bf16(a.v[i]) + (1 - beta2) * g * g;
    const double step = m / correct1 / (std::sqrt(v / correct2) + a.epsilon);
    out.master.push_back(a.master[i] * (1 - rate * a.decay) - rate * step);
    out.m.push_back(m);
    out.v.push_back(v);
  }
  return out;
}

double global_norm(const GlobalNormArgs& a) {
  double squares = 0;
  for (std::int64_t i = 0; i < a.parameters; ++i) squares += double{a.gradient[i]} * a.gradient[i];
  return std::sqrt(squares);
}

}  // namespace railcast::kernels::reference
