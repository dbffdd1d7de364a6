#include "kernels/cross_entropy_reference.hpp"

#include <algorithm>
#include <limits>

namespace railcast::kernels::reference {

CrossEntropy cross_entropy(const CrossEntropyArgs& a) {
  CrossEntropy out;
  for (std::int64_t t = 0; t < a.tokens; ++t) {
    const Bf16* row = a.logits + t * a.vocab;
    const bool counts = a.targets[t] >= 0;
    double top = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::int64_t v = 0; v < a.vocab; ++v) top = std::max(top, double{float_from_bf16(row[v])});
    for (std::int64_t v = 0; v < a.vocab; ++v) sum += std::exp(float_from_bf16(row[v]) - top);
    out.loss.push_back(counts ? std::log(sum) + top - float_from_bf16(row[a.targets[t]]) : 0);
    for (std::int64_t v = 0; v < a.vocab; ++v) {
      const double p = std::exp(float_from_bf16(row[v]) - top) / sum - (v == a.targets[t] ? 1 : 0);
      out.gradient.push_back(counts ? p * a.gradient_scale : 0);
    }
  }
  return out;
}

}  // namespace railcast::kernels::reference
