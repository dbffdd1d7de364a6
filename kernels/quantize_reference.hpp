// CPU reference of kernels/quantize.hpp: the same layouts in host memory, bit for bit.
#pragma once
#include "kernels/quantize.hpp"

namespace railcast::kernels::reference {

void quantize(const QuantizeArgs& args);
void quantize_weight(const QuantizeWeightArgs& args);

}  // namespace railcast::kernels::reference
