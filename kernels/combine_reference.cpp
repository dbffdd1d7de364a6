#include "kernels/combine_reference.hpp"

namespace railcast::kernels::reference {

std::vector<double> combine(const ExchangeShape& s, int rank, const Chosen& chosen,
                            const std::vector<std::vector<Bf16>>& y) {
  const auto cols = static_cast<std::size_t>(s.cols);
  const std::size_t tokens = chosen[static_cast<std::size_t>(rank)].size() / static_cast<std::size_t>(s.top_k);
  std::vector<double> out(tokens * cols, 0.0);
  const std::vector<std::vector<Sent>> rows = dispatched(s, chosen);
  for (std::size_t d = 0; d < rows.size(); ++d)
    for (std::size_t i = 0; i < rows[d].size(); ++i) {
      if (rows[d][i].rank != rank) continue;
      const auto token = static_cast<std::size_t>(rows[d][i].token);
      for (std::size_t c = 0; c < cols; ++c)
        out[token * cols + c] += static_cast<double>(float_from_bf16(y[d][i * cols + c]));
    }
  return out;
}

}  // namespace railcast::kernels::reference
