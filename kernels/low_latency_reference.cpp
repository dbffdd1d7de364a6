#include "kernels/low_latency_reference.hpp"

namespace railcast::kernels::reference {

std::vector<std::vector<Put>> low_latency_rows(const LowLatencyShape& shape,
                                               const std::vector<std::vector<int>>& chosen) {
  std::vector<std::vector<Put>> rows(static_cast<std::size_t>(shape.experts));
  for (std::size_t r = 0; r < chosen.size(); ++r)
    for (std::size_t i = 0; i < chosen[r].size(); ++i)
      if (chosen[r][i] >= 0)
        rows[static_cast<std::size_t>(chosen[r][i])].push_back({static_cast<int>(r), static_cast<int>(i)});
  return rows;
}

}  // namespace railcast::kernels::reference
