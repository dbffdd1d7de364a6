// Promotion: a product of one 128-deep step, times its scales, to the FP32 sums.
#pragma once
#include <cstdint>

#include "kernels/tile_config.cuh"

namespace railcast::kernels {

/// The scales of B: one 128x128 block a step, or two with the switch at the 8-column group `edge`. A lane keeps those
/// of one step of 32, so that a step costs a shuffle instead of a load, and asks for those of the next 32.
template <class C>
struct WeightScales {
  const float* row[C::kWeightScales];
  float kept[C::kWeightScales], coming[C::kWeightScales], now[C::kWeightScales];
  int edge = 0, last = 0;

  /// Asks for those of the tile's first steps.
  __device__ void begin(const GemmParams& p, const Work& w) {
    if constexpr (C::kTokens) return;
    const int block_rows = (p.n + 127) / 128;
    edge = (128 - w.column % 128) / 8, last = w.k_count - 1;
#pragma unroll
    for (int i = 0; i < C::kWeightScales; ++i) {
      const int block = min(w.column / 128 + i, block_rows - 1);
      row[i] = p.weight_scales + static_cast<std::int64_t>(w.group * block_rows + block) * p.k_blocks + w.k_first;
    }
    fetch(0), fetch(32);
  }
  /// The 32 steps from i on are `coming`, and those before are kept.
  __device__ void fetch(int i) {
#pragma unroll
    for (int s = 0; s < C::kWeightScales; ++s) {
      kept[s] = coming[s];
      coming[s] = __ldg(row[s] + min(i + static_cast<int>(threadIdx.x % 32), last));
    }
  }
  /// Those of step i.
  __device__ void turn(int i) {
    if (i % 32 == 0 && i > 0) fetch(i + 32);
#pragma unroll
    for (int s = 0; s < C::kWeightScales; ++s) now[s] = __shfl_sync(~0U, kept[s], i);
  }
};

/// sum += part * (row scale * weight scale), rows r (s0) and r + 8 (s8); the second scale counts from kEdge on.
template <class C, int kEdge>
__device__ void promote_at(float (&sum)[C::kColumns / 2], const float (&part)[C::kColumns / 2], float s0, float s8,
                           const WeightScales<C>& b) {
  constexpr int kLast = C::kWeightScales - 1;
  const float x0 = s0 * b.now[0], x8 = s8 * b.now[0], y0 = s0 * b.now[kLast], y8 = s8 * b.now[kLast];
#pragma unroll
  for (int j = 0; j < C::kColumns / 8; ++j) {
    const float z0 = j < kEdge ? x0 : y0, z8 = j < kEdge ? x8 : y8;
    sum[4 * j] += z0 * part[4 * j], sum[4 * j + 1] += z0 * part[4 * j + 1];
    sum[4 * j + 2] += z8 * part[4 * j + 2], sum[4 * j + 3] += z8 * part[4 * j + 3];
  }
}

/// The same for the edge that this tile has: multiples of C::kEdgeStep, and past the last column.
template <class C, int kEdge = C::kEdgeStep>
__device__ void promote(float (&sum)[C::kColumns / 2], const float (&part)[C::kColumns / 2], float s0, float s8,
                        const WeightScales<C>& b) {
  if constexpr (C::kWeightScales == 1 || kEdge >= C::kColumns / 8) {
    promote_at<C, C::kColumns / 8>(sum, part, s0, s8, b);
  } else if (b.edge == kEdge) {
    promote_at<C, kEdge>(sum, part, s0, s8, b);
  } else {
    promote<C, kEdge + C::kEdgeStep>(sum, part, s0, s8, b);
  }
}

__device__ inline float load_shared(std::uint32_t address) {
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address));
  return x;
}
__device__ inline float2 load_shared_pair(std::uint32_t address) {
  float2 x;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x.x), "=f"(x.y) : "r"(address));
  return x;
}

/// The scales of this thread's columns: of a step for all bands of a warpgroup, or, where it has one, read kAhead
/// pairs of columns ahead of their use.
template <class C>
struct ColumnScales {
  static constexpr int kAhead = C::kBands > 1 ? C::kColumns / 8 : 4;
  float2 ring[kAhead];
  std::uint32_t first;

  __device__ explicit ColumnScales(std::uint32_t address) : first(address) {}
  __device__ void begin() {
#pragma unroll
    for (int j = 0; j < kAhead; ++j) ring[j] = load_shared_pair(first + j * 32);
  }
  __device__ float2 take(int j) {
    const float2 x = ring[j % kAhead];
    if (j + kAhead < C::kColumns / 8) ring[j % kAhead] = load_shared_pair(first + (j + kAhead) * 32);
    return x;
  }
};

/// sum += part * (row scale * column scale).
template <class C>
__device__ void promote_columns(float (&sum)[C::kColumns / 2], const float (&part)[C::kColumns / 2], float s0, float s8,
                                ColumnScales<C>& columns) {
#pragma unroll
  for (int j = 0; j < C::kColumns / 8; ++j) {
    const float2 x = columns.take(j);
    sum[4 * j] += s0 * (x.x * part[4 * j]), sum[4 * j + 1] += s0 * (x.y * part[4 * j + 1]);
    sum[4 * j + 2] += s8 * (x.x * part[4 * j + 2]), sum[4 * j + 3] += s8 * (x.y * part[4 * j + 3]);
  }
}

}  // namespace railcast::kernels
