// E4M3 (OCP 8-bit floating point, 1.0): sign, 4 exponent bits with bias 7, 3 mantissa bits, no infinities,
// NaN = S.1111.111, largest finite 448, smallest denormal 2^-9.
#pragma once
#include <cmath>
#include <cstdint>

namespace railcast::kernels {

inline constexpr float kE4m3Max = 448.0F;

/// As `cvt.rn.satfinite.e4m3x2.f32`: round to nearest even, saturate to 448 (infinities too), NaN becomes 0x7f.
inline std::uint8_t e4m3_from_float(float x) {
  if (std::isnan(x)) return 0x7f;
  const std::uint8_t sign = std::signbit(x) ? 0x80 : 0;
  const float magnitude = std::fabs(x);
  if (magnitude >= kE4m3Max) return static_cast<std::uint8_t>(sign | 0x7e);
  // The quantum is 2^(exponent - 3); below 2^-6 it stays 2^-9 (denormals). nearbyint rounds to even.
  const int exponent = magnitude < 0x1p-6F ? -6 : std::ilogb(magnitude);
  const auto steps = static_cast<int>(std::nearbyint(std::ldexp(magnitude, 3 - exponent)));
  // steps is 8..16 for normals: 16 carries into the exponent by itself. Above 448 nothing can round (448 = 0x7e).
  const int code = steps + ((exponent + 6) << 3);
  return static_cast<std::uint8_t>(sign | code);
}

inline float float_from_e4m3(std::uint8_t code) {
  const int exponent = (code >> 3) & 15;
  const int mantissa = code & 7;
  if (exponent == 15 && mantissa == 7) return std::nanf("");
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                        : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

}  // namespace railcast::kernels
