// What a kernel cannot beat on a chip, and the coordinates in which kernels are alike: work, waves, SMs, intensity.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "model/cost.hpp"

namespace railcast {

/// Seconds of a shape on `sms` SMs were every SM at its peak and memory at its copy rate. GEMMs are counted in whole
/// waves of 128x128 output tiles over the SMs given (a wave not full costs a full one).
struct Floor {
  double compute = 0, memory = 0;
  double work = 0;   ///< FLOPs, or bytes where there are none
  double waves = 1;  ///< tiles over SMs, not rounded; 1 for memory-bound ops
  double seconds() const;
};
Floor floor_of(const Machine& m, const Shape& s, std::int64_t sms);

/// log2 of work, waves, share of the SMs and of compute over memory.
using Coordinates = std::array<double, 4>;
Coordinates coordinates(const Machine& m, const Floor& f, std::int64_t sms);

/// Shapes that may stand in for one another: stem, dtype and flags, e.g. "attention/bf16/causal/backward".
std::string family(const Shape& s);

}  // namespace railcast
