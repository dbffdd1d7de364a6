// requantize on a CPU.
#pragma once
#include "kernels/requantize.hpp"

namespace railcast::kernels::reference {

/// Bit by bit what the kernel writes.
void requantize(const RequantizeArgs& args);

}  // namespace railcast::kernels::reference
