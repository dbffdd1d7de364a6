// dispatch on a CPU: who lies where.
#pragma once
#include <vector>

#include "kernels/dispatch.hpp"

namespace railcast::kernels::reference {

/// A token of a rank.
struct Sent {
  int rank = 0, token = 0;
};

/// The tokens [tokens, top_k] of all ranks, by rank.
using Chosen = std::vector<std::vector<int>>;

/// What lies in the rows of every rank's window.
std::vector<std::vector<Sent>> dispatched(const ExchangeShape& shape, const Chosen& chosen);
/// dispatch_layout's places [tokens, ranks] of one rank.
std::vector<int> places(const ExchangeShape& shape, const std::vector<int>& chosen);
/// What `rank` sees of a token's choices: experts counted from its first, or -1.
std::vector<int> experts_on(const ExchangeShape& shape, const std::vector<int>& chosen, int token, int rank);

}  // namespace railcast::kernels::reference
