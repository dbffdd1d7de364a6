#include "kernels/rope_reference.hpp"

namespace railcast::kernels::reference {

std::vector<double> rope(const RopeArgs& a) {
  const std::int64_t half = a.cols / 2;
  std::vector<double> out(static_cast<std::size_t>(a.rows * a.cols));
  for (std::int64_t r = 0; r < a.rows; ++r) {
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t first = a.interleaved ? 2 * i : i, second = a.interleaved ? 2 * i + 1 : i + half;
      const double x = float_from_bf16(a.x[r * a.row_stride + first]);
      const double y = float_from_bf16(a.x[r * a.row_stride + second]);
      const std::int64_t angle = r / a.rows_per_position * half + i;
      const double c = a.cosine[angle], s = a.inverse ? -a.sine[angle] : a.sine[angle];
      out[static_cast<std::size_t>(r * a.cols + first)] = x * c - y * s;
      out[static_cast<std::size_t>(r * a.cols + second)] = x * s + y * c;
    }
  }
  return out;
}

}  // namespace railcast::kernels::reference
