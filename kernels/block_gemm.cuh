// The one kernel behind gemm, grouped_gemm and wgrad: D = sum over 128-deep steps of (scales) x (E4M3 tile product).
//
// Roles: 1 to 3 consumer warpgroups multiply and promote; one warp of the last warpgroup (the producer) loads by TMA
// into a ring of stages, each with a "full" and an "empty" mbarrier; its other warps, one for each consumer warpgroup,
// store D. A tile has kRows rows: warpgroup w owns the 64-row bands w, w + groups (band v * kGroups + w is its v-th).
// kernels/README.md explains it step by step.
#pragma once
#include <cuda_bf16.h>

#include "kernels/add_up.cuh"
#include "kernels/device.cuh"
#include "kernels/epilogue.cuh"
#include "kernels/produce.cuh"
#include "kernels/promote.cuh"
#include "kernels/wgmma.cuh"

namespace railcast::kernels {

/// part = A band x B (or, not fresh, added to it), one 128-deep step: four wgmmas. a, b: operands' low words.
template <int kColumns, bool kFresh = true>
__device__ void multiply(float (&part)[kColumns / 2], std::uint32_t a, std::uint32_t b) {
  pin(part);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 4; ++k) Wgmma<kColumns>::step(part, operand(a + 2 * k), operand(b + 2 * k), !kFresh || k > 0);
  wgmma_commit();
  pin(part);
}

/// Where a consumer thread finds its part of stage 0: operands of its first band and of B, scales of its rows,
/// barriers. The addresses go through a shuffle so that the compiler keeps them instead of deriving them anew in every
/// step.
template <class C>
struct Reader {
  std::uint32_t a, b, scales, columns, full, empty;
  bool releases;  ///< one lane a warp gives the stage back, or two where two CTAs fill it

  __device__ Reader(const GemmParams& p, const Ring<C>& ring, const Lane& me, int rank) {
    const std::uint32_t base = __shfl_sync(~0U, ring.a, 0);
    a = __shfl_sync(~0U, operand_word(base + me.group * kBand * kStep), 0);
    b = __shfl_sync(~0U, operand_word(base + C::kStages * C::kABytes), 0);
    scales = base + (ring.scales - ring.a) + (me.group * kBand + me.row) * 4;
    if constexpr (!C::kTokens) scales = __shfl_sync(~0U, scales, me.lane);
    columns = base + (ring.scales - ring.a) + (C::kRows + me.lane % 4 * 2) * 4;
    full = base + (ring.full - ring.a);
    empty = address_in(base + (ring.empty - ring.a), p.multicast > 1 ? me.lane % 2 : rank);
    releases = me.lane < p.multicast;
  }
};

/// The warp has read the stage.
template <class C>
__device__ void release(const Reader<C>& in, int stage) {
  __syncwarp();
  if (in.releases) barrier_arrive_at(in.empty + stage * 8);
}

/// All k-steps of a tile for the first kWaves bands of this warpgroup. What the next step needs (its stage, its scale
/// of B) is waited for while this step's last product is under way, so that between two products there is only the
/// promotion.
template <class C, int kWaves>
__device__ void accumulate(const Work& w, const Reader<C>& in, Cursor<C>& at, WeightScales<C>& weights,
                           float (&sum)[C::kBands][C::kColumns / 2]) {
  constexpr int kNext = C::kGroups * kBand;  // rows from this warpgroup's band to its next
  constexpr bool kColumnsKept = ColumnScales<C>::kAhead == C::kColumns / 8;  // all of a step's in registers by its wait
  if constexpr (!C::kTokens) weights.turn(0);
  barrier_wait(in.full + at.stage * 8, at.parity);
  for (int i = 0; i < w.k_count; ++i) {
    const int stage = at.stage;
    at.advance();
    ColumnScales<C> columns(in.columns + stage * C::kScaleBytes);
#pragma unroll
    for (int v = 0; v < kWaves; ++v) {
      float part[C::kColumns / 2];
      multiply<C::kColumns>(part, in.a + stage * (C::kABytes / 16) + v * kNext * kStep / 16,
                            in.b + stage * (C::kBBytes / 16));
      const std::uint32_t scales = in.scales + stage * C::kScaleBytes;
      const float s0 = load_shared(scales + v * kNext * 4), s8 = load_shared(scales + v * kNext * 4 + 32);
      const WeightScales<C> now = weights;
      if (v == kWaves - 1 && i + 1 < w.k_count) {
        if constexpr (!C::kTokens) weights.turn(i + 1);
        barrier_wait(in.full + at.stage * 8, at.parity);
      }
      if constexpr (C::kTokens) {
        if (v == 0) columns.begin();
        wgmma_wait<0>();
        pin(part);
        if (kColumnsKept && v == kWaves - 1) release(in, stage);
        promote_columns<C>(sum[v], part, s0, s8, columns);
      } else {
        wgmma_wait<0>();
        pin(part);
        if (v == kWaves - 1) release(in, stage);
        promote<C>(sum[v], part, s0, s8, now);
      }
    }
    if (C::kTokens && !kColumnsKept) release(in, stage);
  }
}

/// The product of the stage that `at` stands on, begun.
template <class C>
__device__ void begin(const Reader<C>& in, const Cursor<C>& at, float (&part)[C::kColumns / 2]) {
  barrier_wait(in.full + at.stage * 8, at.parity);
  multiply<C::kColumns>(part, in.a + at.stage * (C::kABytes / 16), in.b + at.stage * (C::kBBytes / 16));
}

/// Promotes `part`, the product of the stage that `at` stands on, while that of step `next` runs (if there is one).
template <class C, bool kLast = false>
__device__ void promote_behind(const Reader<C>& in, Cursor<C>& at, WeightScales<C>& weights, int next,
                               float (&part)[C::kColumns / 2], float (&ahead)[C::kColumns / 2],
                               float (&sum)[C::kColumns / 2]) {
  const int stage = at.stage;
  at.advance();
  const std::uint32_t scales = in.scales + stage * C::kScaleBytes;
  const float s0 = load_shared(scales), s8 = load_shared(scales + 32);
  const WeightScales<C> now = weights;
  if constexpr (!kLast) {
    weights.turn(next);
    begin<C>(in, at, ahead);
  }
  wgmma_wait<kLast ? 0 : 1>();
  pin(part);
  release(in, stage);
  promote<C>(sum, part, s0, s8, now);
}

/// The same as `accumulate` where registers have room for two products: the next one runs while one is promoted.
template <class C>
__device__ void accumulate_ahead(const Work& w, const Reader<C>& in, Cursor<C>& at, WeightScales<C>& weights,
                                 float (&sum)[C::kColumns / 2]) {
  float even[C::kColumns / 2], odd[C::kColumns / 2];
  weights.turn(0);
  begin<C>(in, at, even);
  int next = 1;
  for (; next + 1 < w.k_count; next += 2) {
    promote_behind<C>(in, at, weights, next, even, odd, sum);
    promote_behind<C>(in, at, weights, next + 1, odd, even, sum);
  }
  if (next < w.k_count) {
    promote_behind<C>(in, at, weights, next, even, odd, sum);
    promote_behind<C, true>(in, at, weights, 0, odd, even, sum);
  } else {
    promote_behind<C, true>(in, at, weights, 0, even, odd, sum);
  }
}

/// A tile that this CTA has nothing of: hands its stages back as they come.
template <class C>
__device__ void skip(const Work& w, const Reader<C>& in, Cursor<C>& at) {
  for (int i = 0; i < w.k_count; ++i, at.advance()) {
    barrier_wait(in.full + at.stage * 8, at.parity);
    release(in, at.stage);
  }
}

/// Where a band is laid down for the warp that stores it.
template <class C>
__device__ std::uint32_t place_of(const Ring<C>& ring, int band) {
  const int group = band % C::kGroups, turn = band / C::kGroups % C::kStagedBands;
  return ring.d + (turn * C::kGroups + group) * C::kDBandBytes;
}

/// What lay where a warpgroup lays down its sums has been read, `times` times. The warp that reads it itself says so by
/// an mbarrier: racecheck does not see that a named one ends reads.
template <class C>
__device__ void wait_until_freed(const Ring<C>& ring, int group, int times) {
  if constexpr (C::kTokens) {
    barrier_wait(ring.freed + group * 8, (times - 1) % 2);
  } else {
    named_barrier_sync(1 + group, 160);
  }
}
template <class C>
__device__ void set_free(const Ring<C>& ring, int group) {
  if constexpr (C::kTokens) {
    barrier_arrive(ring.freed + group * 8);
  } else {
    tma_stores_read();
    named_barrier_arrive(1 + group, 160);
  }
}

/// What this warpgroup has laid down is there for the warp that stores it.
__device__ inline void hand_over(int group) {
  fence_for_tma();
  named_barrier_arrive(4 + group, 160);
}

/// A tile's sums to D: a band that may be stored whole through shared memory, kStagedBands at a time, else from
/// registers. `staged`: how many times this warpgroup did the former.
template <class C>
__device__ void store(const GemmParams& p, const Work& w, const Lane& me, const Ring<C>& ring, int& staged,
                      const float (&sum)[C::kBands][C::kColumns / 2]) {
  const bool stages = through_shared<C>(p, w, me.group);
#pragma unroll
  for (int v = 0; v < C::kBands; ++v) {
    const int band = v * C::kGroups + me.group;
    if (w.row + band * kBand >= w.limit) break;
    if (stages && whole(p, w, band)) {
      if (v % C::kStagedBands == 0) {
        if (v > 0) hand_over(me.group);
        if (staged > 0) wait_until_freed<C>(ring, me.group, staged);
        ++staged;
      }
      stage<C>(place_of<C>(ring, band), me, sum[v]);
    } else if constexpr (C::kTokens) {
      add_fp32<C>(p, w, me, band, sum[v]);
    } else {
      store_bf16<C>(p, w, me, band, sum[v]);
    }
  }
  if (stages) hand_over(me.group);
}

/// One warp for each consumer warpgroup: stores what that has laid down.
template <class C>
__device__ void store_staged(const GemmParams& p, const ScheduleOf<C>& schedule, const Ring<C>& ring, int group) {
  constexpr int kTurn = C::kStagedBands * C::kGroups;
  bool again = false;
  for (int t = schedule.first; t < schedule.end(); t += schedule.stride) {
    const Work w = schedule.at(t);
    if (!through_shared<C>(p, w, group)) continue;
    for (int first = group; first < C::kRows / kBand && whole(p, w, first); first += kTurn) {
      if (again) set_free<C>(ring, group);
      again = true;
      named_barrier_sync(4 + group, 160);
      if constexpr (C::kTokens) {
        add_staged<C>(p, w, first, place_of<C>(ring, first));
      } else if (elected()) {
        const std::uint64_t policy = d_policy(p);
        for (int band = first; band < min(first + kTurn, C::kRows / kBand) && whole(p, w, band); band += C::kGroups)
          send_staged<C>(p, w, band, place_of<C>(ring, band), policy);
        tma_stores_commit();
      }
      __syncwarp();
    }
  }
  tma_stores_read();
}

template <class C>
__device__ void consume(const GemmParams& p, const ScheduleOf<C>& schedule, const Ring<C>& ring) {
  const Lane me;
  const Reader<C> in(p, ring, me, schedule.rank);
  if (p.multicast > 1) cluster_wait();
  if (schedule.first >= schedule.count()) return;
  Cursor<C> at;
  WeightScales<C> weights;
  Work w = schedule.at(schedule.first);
  wait_for_previous_kernel();
  weights.begin(p, w);
  int staged = 0;
  for (int t = schedule.first; t < schedule.end(); t += schedule.stride) {
    // The second CTA of a pair may lie past the last column, a warpgroup past the last row
    const bool busy = w.column < p.n && w.k_count > 0 && w.row + me.group * kBand < w.limit;
    float sum[C::kBands][C::kColumns / 2] = {};
    if (!busy) {
      skip<C>(w, in, at);
    } else if constexpr (C::kAhead) {
      accumulate_ahead<C>(w, in, at, weights, sum[0]);
    } else if (C::kBands > 1 && w.row + (C::kGroups + me.group) * kBand >= w.limit) {
      accumulate<C, 1>(w, in, at, weights, sum);
    } else {
      accumulate<C, C::kBands>(w, in, at, weights, sum);
    }
    const Work done = w;
    if (t + schedule.stride < schedule.end())
      w = schedule.at(t + schedule.stride), weights.begin(p, w);  // while this tile is stored
    if constexpr (!C::kTokens) {
      if (p.split > 1) {
        add_up_cluster<C>(p, done, ring.a, ring.drained, ring.arrived, me, schedule.rank, sum);
        continue;
      }
    }
    if (busy) store<C>(p, done, me, ring, staged, sum);
  }
}

/// One warp: the list of row tiles, and their number.
template <class C>
__device__ void list_rows(const GemmParams& p, RowTile* list, int* count) {
  if (threadIdx.x >= 32) return;
  const int tiles = p.walk == Walk::contiguous ? list_contiguous<C::kRows>(p, list) : list_masked<C::kRows>(p, list);
  if (threadIdx.x == 0) *count = tiles;
}

/// Barriers; the cluster has arrived afterwards, and waits where it is first of need.
template <class C>
__device__ void prepare(const GemmParams& p, const Ring<C>& ring) {
  if (threadIdx.x == 0) {
    tma_prefetch(&p.a), tma_prefetch(&p.b), tma_prefetch(&p.a_scales);
    for (int s = 0; s < C::kStages; ++s) {
      barrier_init(ring.full + s * 8, 1);
      barrier_init(ring.empty + s * 8, C::kGroups * 4 * p.multicast);
    }
    barrier_init(ring.drained, C::kGroups * 4 * p.split), barrier_init(ring.arrived, 1);
    for (int g = 0; C::kTokens && g < C::kGroups; ++g) barrier_init(ring.freed + g * 8, 32);
    barrier_init_fence();  // one fence: each takes some 80 cycles
  }
  if (p.multicast > 1 || p.split > 1) cluster_arrive();
}

template <class C>
__global__ __launch_bounds__(C::kThreads, 1) void block_gemm(const __grid_constant__ GemmParams p) {
  extern __shared__ std::uint8_t shared[];
  __shared__ RowTile list[C::kList];
  __shared__ int listed;
  const Ring<C> ring((shared_address(shared) + 1023) & ~1023U);
  let_next_kernel_start();
  prepare<C>(p, ring);
  const bool lists = C::kList > 1 && (p.walk == Walk::contiguous || p.walk == Walk::masked);
  const bool cluster = p.multicast > 1 || p.split > 1;
  if (p.walk != Walk::dense) wait_for_previous_kernel();  // it may have written the groups
  if (lists) list_rows<C>(p, list, &listed);
  const auto schedule = [&] {
    return ScheduleOf<C>{p,
                         list,
                         lists ? listed : (p.m + C::kRows - 1) / C::kRows,
                         cluster ? static_cast<int>(cluster_rank()) : 0,
                         static_cast<int>(cluster_index()),
                         static_cast<int>(clusters())};
  };
  if (threadIdx.x >= C::kGroups * 128) {
    if constexpr (C::kGroups > 1) give_registers<C::kOtherRegisters>();
    const int warp = __shfl_sync(~0U, static_cast<int>(threadIdx.x / 32) - C::kGroups * 4, 0);
    if (lists || warp > 0) wait_until_prepared<C>();
    if (warp == 0) {
      produce<C>(p, schedule(), ring, lists);
      if (p.split > 1) cluster_wait();
    } else {
      if (cluster) cluster_wait();
      if (C::kStaged && warp <= C::kGroups) store_staged<C>(p, schedule(), ring, warp - 1);
    }
  } else {
    if constexpr (C::kGroups > 1) take_registers<C::kConsumerRegisters>();
    wait_until_prepared<C>();
    consume<C>(p, schedule(), ring);
  }
  if (p.multicast > 1) cluster_sync();  // no CTA may leave while another can still write to it
}

}  // namespace railcast::kernels
