// CPU reference of kernels/gate.hpp in FP64.
#pragma once
#include <vector>

#include "kernels/gate.hpp"

namespace railcast::kernels::reference {

struct Gated {
  std::vector<int> experts;     ///< [tokens, top_k]
  std::vector<double> weights;  ///< [tokens, top_k]
  std::vector<double> choice;   ///< [tokens, experts]: score + bias, -infinity in closed groups
  std::vector<double> worth;    ///< [tokens, groups]
};
/// args.logits and args.bias are read.
Gated gate(const GateArgs& args);
/// Whether a choice of experts differs from the reference's only where scores lie within `slack` of each other.
bool same_within_ties(const Gated& reference, const Gating& gating, std::int64_t token, const int* experts,
                      double slack);

std::vector<double> gate_backward(const GateBackwardArgs& args);
/// The updated bias.
std::vector<float> gate_bias_update(const GateBiasArgs& args);

}  // namespace railcast::kernels::reference
