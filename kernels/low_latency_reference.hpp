// The low-latency exchange on a CPU: which choice lies where.
#pragma once
#include <vector>

#include "kernels/low_latency.hpp"

namespace railcast::kernels::reference {

/// A choice of a token of a rank.
struct Put {
  int rank = 0, choice = 0;  ///< choice = token * top_k + k
};

/// [expert of all]: what its rows hold, in order. chosen[r]: [tokens, top_k].
std::vector<std::vector<Put>> low_latency_rows(const LowLatencyShape& shape,
                                               const std::vector<std::vector<int>>& chosen);

}  // namespace railcast::kernels::reference
