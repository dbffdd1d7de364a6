// Shared by the tests of the layer kernels' references.
#pragma once
#include <random>
#include <vector>

#include "kernels/number.hpp"

namespace railcast::kernels {

inline std::vector<Bf16> normal_bf16(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<Bf16> x;
  for (std::size_t i = 0; i < count; ++i) x.push_back(bf16_from_float(draw(random)));
  return x;
}
inline std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> x(count);
  for (float& v : x) v = draw(random);
  return x;
}
/// The next BF16 numbers below and above x, for slopes.
struct Neighbours {
  Bf16 below, above;
  explicit Neighbours(Bf16 x)
      : below(bf16_from_float(float_from_bf16(x) - 0.0625F)), above(bf16_from_float(float_from_bf16(x) + 0.0625F)) {}
  double distance() const { return double{float_from_bf16(above)} - float_from_bf16(below); }
};
/// Slope of `loss` in x, by moving x between its neighbours.
template <typename Loss>
double slope(Bf16& x, const Loss& loss) {
  const Bf16 kept = x;
  const Neighbours at(kept);
  x = at.above;
  const double up = loss();
  x = at.below;
  const double down = loss();
  x = kept;
  return (up - down) / at.distance();
}

}  // namespace railcast::kernels
