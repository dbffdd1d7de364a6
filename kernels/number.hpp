// What the layer kernels and their CPU references share: BF16 bit patterns, and the scale of a quantised group.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/e4m3.hpp"

#ifdef __CUDACC__
#define RAILCAST_BOTH __host__ __device__ __forceinline__
#else
#define RAILCAST_BOTH inline
#endif

namespace railcast::kernels {

using Bf16 = std::uint16_t;  ///< bit pattern
using E4m3 = std::uint8_t;   ///< bit pattern

constexpr int kScaleGroup = 128;  ///< elements that share a scale (arXiv 2412.19437, 3.3)
/// Groups whose largest magnitude is below this are treated as if it were this, so that no scale is zero.
constexpr float kSmallestAmax = 1e-10F;

/// power_of_two: the scale is rounded up to a power of two (UE8M0), so that scaling loses nothing.
enum class ScaleFormat : std::uint8_t { fp32, power_of_two };

RAILCAST_BOTH std::uint32_t bits_of(float x) {
  std::uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
RAILCAST_BOTH float float_of(std::uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}
RAILCAST_BOTH float float_from_bf16(Bf16 b) { return float_of(static_cast<std::uint32_t>(b) << 16); }

/// value = code * scale; code = e4m3(value * inverse). An infinite amax makes the scale infinite and the inverse zero.
struct GroupScale {
  float scale, inverse;
};
RAILCAST_BOTH GroupScale group_scale(float amax, ScaleFormat format) {
  const float a = amax > kSmallestAmax ? amax : kSmallestAmax;
  if (format == ScaleFormat::fp32) return {a / kE4m3Max, kE4m3Max / a};
  const std::uint32_t up = (bits_of(a / kE4m3Max) + 0x7FFFFFU) & 0x7F800000U;
  constexpr std::uint32_t one_squared = 254U << 23;  // exponents add up to this
  return {float_of(up), float_of(one_squared - (up < one_squared ? up : one_squared))};
}

/// Round to nearest even; NaN stays NaN.
inline Bf16 bf16_from_float(float x) {
  if (std::isnan(x)) return 0x7FFF;
  const std::uint32_t b = bits_of(x);
  return static_cast<Bf16>((b + 0x7FFFU + ((b >> 16) & 1U)) >> 16);
}

}  // namespace railcast::kernels
