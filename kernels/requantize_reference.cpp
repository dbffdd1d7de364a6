#include "kernels/requantize_reference.hpp"

#include <algorithm>
#include <cmath>

namespace railcast::kernels::reference {

void requantize(const RequantizeArgs& a) {
  const auto value = [&](std::int64_t r, std::int64_t c) {
    return float_from_e4m3(a.q[r * a.cols + c]) * a.scales[c / kScaleGroup * a.scale_stride + r];
  };
  for (std::int64_t block = 0; block < a.rows / kScaleGroup; ++block)
    for (std::int64_t c = 0; c < a.cols; ++c) {
      float amax = 0;
      for (std::int64_t r = block * kScaleGroup; r < (block + 1) * kScaleGroup; ++r)
        amax = std::max(amax, std::fabs(value(r, c)));
      const GroupScale scale = group_scale(amax, a.format);
      a.scales_t[block * a.cols + c] = scale.scale;
      for (std::int64_t r = block * kScaleGroup; r < (block + 1) * kScaleGroup; ++r)
        a.q_t[c * a.rows + r] = e4m3_from_float(value(r, c) * scale.inverse);
    }
}

}  // namespace railcast::kernels::reference
