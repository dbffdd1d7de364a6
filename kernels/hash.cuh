// A stateless random number: 32 well-mixed bits of (seed, index).
#pragma once
#include <cstdint>

namespace railcast::kernels {

__host__ __device__ inline std::uint32_t hash(std::uint32_t seed, std::uint64_t index) {
  std::uint64_t x = (index + 1) * 0x9e3779b97f4a7c15ULL ^ (static_cast<std::uint64_t>(seed) << 32 | seed);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<std::uint32_t>(x >> 32);
}
/// In (0, 1].
__host__ __device__ inline float unit(std::uint32_t seed, std::uint64_t index) {
  return (static_cast<float>(hash(seed, index) >> 8) + 1.0F) / 16777216.0F;
}

}  // namespace railcast::kernels
