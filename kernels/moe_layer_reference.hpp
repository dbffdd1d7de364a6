// One token's way through one expert, forward and backward, in FP64.
#pragma once
#include <cstdint>
#include <vector>

namespace railcast::kernels::reference {

struct ExpertSize {
  std::int64_t hidden = 0, inner = 0;
};
/// y = W2 (silu(g) u), [g; u] = W1 x.
struct Expert {
  std::vector<double> w1;  ///< [2 inner, hidden]: gate, then up
  std::vector<double> w2;  ///< [hidden, inner]
};
/// What a choice adds to its token and to its expert.
struct ChoicePass {
  std::vector<double> out, d_x;  ///< [hidden], weighted
  double d_weight = 0;
};
/// `gradients` (optional): the expert's, added to.
ChoicePass moe_choice(const ExpertSize& size, const Expert& expert, const std::vector<double>& x,
                      const std::vector<double>& d_out, double weight, Expert* gradients = nullptr);

}  // namespace railcast::kernels::reference
