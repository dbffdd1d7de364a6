// Random numbers as functions of (seed, ids): no stream, so order and threads change nothing.
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>

namespace railcast {

/// splitmix64's finaliser (Steele, Lea, Flood 2014).
inline std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

template <class... Ids>
std::uint64_t hash_of(std::uint64_t seed, Ids... ids) {
  std::uint64_t h = mixed(seed);
  ((h = mixed(h ^ static_cast<std::uint64_t>(ids))), ...);
  return h;
}

/// In (0, 1).
inline double unit_of(std::uint64_t hash) { return (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53; }
/// Standard normal (Box and Muller 1958).
inline double normal_of(std::uint64_t hash) {
  return std::sqrt(-2 * std::log(unit_of(hash))) * std::cos(2 * std::numbers::pi * unit_of(mixed(hash)));
}
/// Standard Gumbel: the k largest of log(p) + Gumbel are k draws without replacement by the weights p.
inline double gumbel_of(std::uint64_t hash) { return -std::log(-std::log(unit_of(hash))); }

}  // namespace railcast
