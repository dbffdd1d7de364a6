// What a step's time rests on, for asking "what if it were faster" and "how sure is it".
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

/// A disjoint set: the work of every op belongs to one of the first, its latency to the last. GEMM-like kernels and
/// attention by family; every other kernel moves bytes; a collective belongs to the port that it draws most of.
enum class Base : std::uint8_t { gemm, grouped_gemm, wgrad, attention, hbm, nvlink, nic, latency };
inline constexpr int kBases = 8;
const char* name(Base b);
/// Of the shape's work.
Base base_of(const Shape& s, const Cost& c);

/// Part of an op's cost: the shapes of one stem on one base. `spread` as Cost's, the mean over their time.
struct Share {
  Base base = Base::hbm;
  std::uint8_t stem = 0;  ///< index of the Shape's alternative
  Time latency, work;
  double spread = 0;
};
using Shares = std::vector<Share>;
void add_share(Shares& shares, const Shape& s, const Cost& c);

}  // namespace railcast
