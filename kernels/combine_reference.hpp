// combine on a CPU, in FP64.
#pragma once
#include "kernels/combine.hpp"
#include "kernels/dispatch_reference.hpp"

namespace railcast::kernels::reference {

/// [tokens, cols] of `rank`: the sum of its tokens' rows in y[d] [rows, cols] of every rank d.
std::vector<double> combine(const ExchangeShape& shape, int rank, const Chosen& chosen,
                            const std::vector<std::vector<Bf16>>& y);

}  // namespace railcast::kernels::reference
