// The ring of stages in shared memory, and the warp that keeps it full.
#pragma once
#include <cstdint>

#include "kernels/device.cuh"
#include "kernels/schedule.cuh"
#include "kernels/tile_config.cuh"

namespace railcast::kernels {

template <class C>
using ScheduleOf = Schedule<C::kRows, C::kColumns, C::kTokens>;

/// Shared memory of a CTA, as addresses.
template <class C>
struct Ring {
  std::uint32_t d, a, b, scales, full, empty;
  std::uint32_t drained, arrived;  ///< of a split (add_up.cuh)
  std::uint32_t freed;             ///< for each warpgroup: sums that it has laid down have been read

  __device__ explicit Ring(std::uint32_t base)
      : d(base),
        a(d + C::kDBytes),
        b(a + C::kStages * C::kABytes),
        scales(b + C::kStages * C::kBBytes),
        full(scales + C::kStages * C::kScaleBytes),
        empty(full + C::kStages * 8),
        drained(empty + C::kStages * 8),
        arrived(drained + 8),
        freed(arrived + 8) {}
};

/// A position in the ring: the stage, and the parity of its current phase.
template <class C>
struct Cursor {
  int stage = 0;
  std::uint32_t parity = 0;
  __device__ void advance() {
    if (++stage == C::kStages) stage = 0, parity ^= 1;
  }
};

/// Boxes of A that a stage of this tile needs: those with rows below the limit.
template <class C>
__device__ int boxes(const Work& w) {
  return min(C::kBoxes, (w.limit - w.row + C::kBoxRows - 1) / C::kBoxRows);
}

/// Asks for everything that one stage holds.
template <class C>
__device__ void fill(const GemmParams& p, const Work& w, const Ring<C>& ring, int stage, int step, int needed,
                     int rank) {
  constexpr int kBoxBytes = C::kBoxRows * kStep;
  const std::uint32_t full = ring.full + stage * 8, a = ring.a + stage * C::kABytes;
  const std::uint32_t scales = ring.scales + stage * C::kScaleBytes;
  const int k_block = w.k_first + step, x = k_block * kStep;
  barrier_expect(full, needed * kBoxBytes + C::kBBytes + C::kScaleBytes);
  if (p.multicast == 1) {
    tma_load(a, &p.a, x, w.row, full);
    if (C::kBoxes > 1 && needed > 1) tma_load(a + kBoxBytes, &p.a, x, w.row + C::kBoxRows, full);
  } else if (rank < needed) {
    tma_multicast(a + rank * kBoxBytes, &p.a, x, w.row + rank * C::kBoxRows, full, 3);
  }
  tma_load(ring.b + stage * C::kBBytes, &p.b, x, w.column + (p.walk == Walk::token_groups ? 0 : w.group * p.n), full);
  tma_load(scales, &p.a_scales, w.scale_row, w.scale_k + k_block, full);
  if constexpr (C::kTokens) tma_load(scales + C::kRows * 4, &p.b_scales, w.column, k_block, full);
}

/// All threads of the CTA: barriers are initialised, the list of row tiles is written.
template <class C>
__device__ void wait_until_prepared() {
  named_barrier_sync(0, C::kThreads);
}

/// Few rows: the bytes of B bound the time, so the first of them are asked to come into L2 while the previous kernel
/// ends. Only where more tiles follow: with one tile a CTA, A would come later for it and B no earlier.
template <class C>
__device__ void prefetch_columns(const GemmParams& p, const ScheduleOf<C>& schedule, const Work& w) {
  if (C::kTokens || p.walk != Walk::dense || schedule.row_tiles > 2 || w.column >= p.n) return;
  if (schedule.first + schedule.stride >= schedule.end() || !elected()) return;
  for (int i = 0; i < min(2, w.k_count); ++i) tma_prefetch_box(&p.b, (w.k_first + i) * kStep, w.column);
}

/// One warp: keeps the ring full. All of it walks the loop, so that addresses stay in uniform registers; one lane asks.
/// Where its first tile is depends on no list, it looks for it while others prepare.
template <class C>
__device__ void produce(const GemmParams& p, const ScheduleOf<C>& schedule, const Ring<C>& ring, bool prepared) {
  Cursor<C> at;
  Work w{};
  if (schedule.first < schedule.end()) w = schedule.at(schedule.first);
  prefetch_columns<C>(p, schedule, w);
  if (!prepared) wait_until_prepared<C>();
  if (p.multicast > 1) cluster_wait();
  wait_for_previous_kernel();
  for (int t = schedule.first; t < schedule.end(); t += schedule.stride) {
    if (t > schedule.first) w = schedule.at(t);
    const int needed = boxes<C>(w);
    for (int i = 0; i < w.k_count; ++i, at.advance()) {
      barrier_wait(ring.empty + at.stage * 8, at.parity ^ 1);
      if (elected()) fill<C>(p, w, ring, at.stage, i, needed, schedule.rank);
      __syncwarp();
    }
  }
}

}  // namespace railcast::kernels
