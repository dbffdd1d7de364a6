// The one kernel behind gemm, grouped_gemm and wgrad: D = sum over 128-deep steps of (scales) x (E4M3 tile product).
//
// Roles: 1 or 2 consumer warpgroups multiply and promote; one thread of the last warpgroup (the producer) loads by TMA
// into a ring of stages, each with a "full" and an "empty" mbarrier. A tile has kRows rows: warpgroup w owns the 64-row
// bands w, w + groups (band v * kGroups + w is its v-th). kernels/README.md explains it step by step.
#pragma once
#include <cuda_bf16.h>

#include "kernels/device.cuh"
#include "kernels/epilogue.cuh"
#include "kernels/schedule.cuh"
#include "kernels/wgmma.cuh"

namespace railcast::kernels {

/// Shared memory of a CTA, as addresses.
template <class C>
struct Ring {
  std::uint32_t a, b, scales, full, empty;

  __device__ explicit Ring(std::uint32_t base)
      : a(base),
        b(a + C::kStages * C::kABytes),
        scales(b + C::kStages * C::kBBytes),
        full(scales + C::kStages * C::kScaleBytes),
        empty(full + C::kStages * 8) {}
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

template <class C>
__device__ int bands(const Work& w) {
  return min(C::kRows / kBand, (w.limit - w.row + kBand - 1) / kBand);
}

/// One thread: keeps the ring full.
template <class C>
__device__ void produce(const GemmParams& p, const Schedule<C::kRows, C::kColumns>& schedule, const Ring<C>& ring,
                        int first, int stride) {
  Cursor<C> at;
  for (int t = first; t < schedule.count(); t += stride) {
    const Work w = schedule.at(t);
    const int rows = bands<C>(w);
    const int b_row = w.column + (p.walk == Walk::token_groups ? 0 : w.group * p.n);
    for (int i = 0; i < w.k_count; ++i, at.advance()) {
      const std::uint32_t full = ring.full + at.stage * 8, a = ring.a + at.stage * C::kABytes;
      const std::uint32_t scales = ring.scales + at.stage * C::kScaleBytes;
      const int k_block = w.k_first + i, x = k_block * kStep;
      barrier_wait(ring.empty + at.stage * 8, at.parity ^ 1);
      barrier_expect(full, rows * kBand * kStep + C::kBBytes + C::kScaleBytes);
      for (int band = 0; band < rows; ++band) {
        if (p.multicast == 1) {
          tma_load(a + band * kBand * kStep, &p.a, x, w.row + band * kBand, full);
        } else if (band % 2 == schedule.rank) {
          tma_multicast(a + band * kBand * kStep, &p.a, x, w.row + band * kBand, full, 3);
        }
      }
      tma_load(ring.b + at.stage * C::kBBytes, &p.b, x, b_row, full);
      tma_load(scales, &p.a_scales, w.scale_row, w.scale_k + k_block, full);
      if constexpr (C::kTokens) tma_load(scales + C::kRows * 4, &p.b_scales, w.column, k_block, full);
    }
  }
}

/// The scales of B for one step: kWeightScales blocks, switching at the 8-column groups `edge` and `edge` + 16.
template <class C>
struct WeightScales {
  const float* row[C::kWeightScales];
  float now[C::kWeightScales], next[C::kWeightScales];
  int edge = 0;

  __device__ WeightScales(const GemmParams& p, const Work& w) {
    const int block_rows = (p.n + 127) / 128;
    if constexpr (C::kTokens) return;
    edge = (128 - w.column % 128) / 8;
#pragma unroll
    for (int i = 0; i < C::kWeightScales; ++i) {
      const int block = min(w.column / 128 + i, block_rows - 1);
      row[i] = p.weight_scales + static_cast<std::int64_t>(w.group * block_rows + block) * p.k_blocks + w.k_first;
      next[i] = __ldg(row[i]);
    }
  }
  /// Takes the prefetched scales of step i and fetches the following ones.
  __device__ void turn(int i, int count) {
#pragma unroll
    for (int s = 0; s < C::kWeightScales; ++s) {
      now[s] = next[s];
      next[s] = __ldg(row[s] + min(i + 1, count - 1));
    }
  }
};

/// sum += part * (row scale * weight scale), rows r (s0) and r + 8 (s8).
template <class C>
__device__ void promote(float (&sum)[C::kColumns / 2], const float (&part)[C::kColumns / 2], float s0, float s8,
                        const WeightScales<C>& b) {
  float x0[C::kWeightScales], x8[C::kWeightScales];
#pragma unroll
  for (int i = 0; i < C::kWeightScales; ++i) x0[i] = s0 * b.now[i], x8[i] = s8 * b.now[i];
#pragma unroll
  for (int j = 0; j < C::kColumns / 8; ++j) {
    float y0 = x0[0], y8 = x8[0];
    if constexpr (C::kWeightScales > 1) {
      if (j >= b.edge) y0 = x0[1], y8 = x8[1];
    }
    if constexpr (C::kWeightScales > 2) {
      if (j >= b.edge + 16) y0 = x0[2], y8 = x8[2];
    }
    sum[4 * j] += y0 * part[4 * j], sum[4 * j + 1] += y0 * part[4 * j + 1];
    sum[4 * j + 2] += y8 * part[4 * j + 2], sum[4 * j + 3] += y8 * part[4 * j + 3];
  }
}

/// The same where each column has its own scale: `columns` is this thread's first one in shared memory.
template <class C>
__device__ void promote_columns(float (&sum)[C::kColumns / 2], const float (&part)[C::kColumns / 2], float s0, float s8,
                                std::uint32_t columns) {
#pragma unroll
  for (int j = 0; j < C::kColumns / 8; ++j) {
    float x, y;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(x), "=f"(y) : "r"(columns + j * 32));
    sum[4 * j] += s0 * (x * part[4 * j]), sum[4 * j + 1] += s0 * (y * part[4 * j + 1]);
    sum[4 * j + 2] += s8 * (x * part[4 * j + 2]), sum[4 * j + 3] += s8 * (y * part[4 * j + 3]);
  }
}

__device__ inline float load_shared(std::uint32_t address) {
  float x;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(x) : "r"(address));
  return x;
}

/// part = A band x B, one 128-deep step: four wgmmas. With turns, the other warpgroup may issue when three are done.
template <class C>
__device__ void multiply(float (&part)[C::kColumns / 2], std::uint32_t a, std::uint32_t b, int turns, int group) {
  const std::uint64_t left = operand(a), right = operand(b);
  pin(part);
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < 3; ++k) Wgmma<C::kColumns>::step(part, left + 2 * k, right + 2 * k, k > 0);
  wgmma_commit();
  Wgmma<C::kColumns>::step(part, left + 6, right + 6, 1);
  wgmma_commit();
  pin(part);
  if (C::kGroups > 1 && turns == 1) named_barrier_arrive(2 - group, 256);
  if (C::kGroups > 1 && turns == 2) {
    wgmma_wait<1>();
    named_barrier_arrive(2 - group, 256);
  }
}

/// Gives the stage back to the producers that fill it.
template <class C>
__device__ void release(const GemmParams& p, std::uint32_t empty, int lane) {
  __syncwarp();
  if (p.multicast == 1) {
    if (lane == 0) barrier_arrive(empty);
  } else if (lane < 2) {
    barrier_arrive_at(empty, lane);
  }
}

/// One k-step of a warpgroup: its bands of the stage, each multiplied and promoted. The stage goes back to the producer
/// as soon as the last product is there, before its promotion; where columns have scales these are read from it to the
/// end.
template <class C>
__device__ void step(const GemmParams& p, const Ring<C>& ring, int stage, const Lane& me, int rows, bool busy,
                     const WeightScales<C>& weights, float (&sum)[C::kBands][C::kColumns / 2]) {
  const std::uint32_t a = ring.a + stage * C::kABytes, b = ring.b + stage * C::kBBytes;
  const std::uint32_t scales = ring.scales + stage * C::kScaleBytes;
  const int turns = (rows + C::kGroups - 1) / C::kGroups;
  const int last = !C::kTokens && busy && me.group < rows ? (rows - 1 - me.group) / C::kGroups : -1;
#pragma unroll
  for (int v = 0; v < C::kBands; ++v) {
    if (v >= turns) break;
    const int band = v * C::kGroups + me.group;
    if (C::kGroups > 1 && p.turns > 0) named_barrier_sync(1 + me.group, 256);
    if (!busy || band >= rows) {
      if (C::kGroups > 1 && p.turns > 0) named_barrier_arrive(2 - me.group, 256);
      continue;
    }
    float part[C::kColumns / 2];
    multiply<C>(part, a + band * kBand * kStep, b, p.turns, me.group);
    const float s0 = load_shared(scales + (band * kBand + me.row) * 4);
    const float s8 = load_shared(scales + (band * kBand + me.row + 8) * 4);
    wgmma_wait<0>();
    pin(part);
    if constexpr (C::kTokens) {
      promote_columns<C>(sum[v], part, s0, s8, scales + (C::kRows + me.lane % 4 * 2) * 4);
    } else {
      if (v == last) release<C>(p, ring.empty + stage * 8, me.lane);
      promote<C>(sum[v], part, s0, s8, weights);
    }
  }
  if (last < 0) release<C>(p, ring.empty + stage * 8, me.lane);
}

template <class C>
__device__ void consume(const GemmParams& p, const Schedule<C::kRows, C::kColumns>& schedule, const Ring<C>& ring,
                        int first, int stride) {
  const Lane me;
  Cursor<C> at;
  if (C::kGroups > 1 && p.turns > 0 && me.group == 1) named_barrier_arrive(1, 256);  // warpgroup 0 begins
  for (int t = first; t < schedule.count(); t += stride) {
    const Work w = schedule.at(t);
    const int rows = bands<C>(w);
    const bool busy = w.column < p.n;
    float sum[C::kBands][C::kColumns / 2] = {};
    WeightScales<C> weights(p, w);
    for (int i = 0; i < w.k_count; ++i, at.advance()) {
      if constexpr (!C::kTokens) weights.turn(i, w.k_count);
      barrier_wait(ring.full + at.stage * 8, at.parity);
      step<C>(p, ring, at.stage, me, rows, busy, weights, sum);
    }
    if constexpr (!C::kTokens) {
      if (p.split > 1) {
        add_up_cluster<C>(p, w, ring.a, me, schedule.rank, sum);
        continue;
      }
    }
    if (!busy || w.k_count == 0) continue;
#pragma unroll
    for (int v = 0; v < C::kBands; ++v) {
      const int band = v * C::kGroups + me.group;
      if (band >= rows) break;
      if constexpr (C::kTokens) {
        add_fp32<C>(p, w, me, band, sum[v]);
      } else {
        store_bf16<C>(p, w, me, band, sum[v]);
      }
    }
  }
}

/// The list of row tiles where the walk needs one; returns the number of row tiles.
template <class C>
__device__ int list_rows(const GemmParams& p, std::uint32_t* list, int* count) {
  if (p.walk == Walk::dense || p.walk == Walk::token_groups) return (p.m + C::kRows - 1) / C::kRows;
  if constexpr (C::kList == 1) return 0;
  if (threadIdx.x < 32) {
    const int tiles = p.walk == Walk::contiguous ? list_contiguous<C::kRows>(p, list) : list_masked<C::kRows>(p, list);
    if (threadIdx.x == 0) *count = tiles;
  }
  __syncthreads();
  return *count;
}

template <class C>
__device__ void prepare(const GemmParams& p, const Ring<C>& ring) {
  if (threadIdx.x == 0) {
    tma_prefetch(&p.a), tma_prefetch(&p.b), tma_prefetch(&p.a_scales);
    for (int s = 0; s < C::kStages; ++s) {
      barrier_init(ring.full + s * 8, 1);
      barrier_init(ring.empty + s * 8, C::kGroups * 4 * p.multicast);
    }
    barrier_init_fence();
  }
  if (p.multicast > 1 || p.split > 1) cluster_sync();
  __syncthreads();
}

template <class C>
__global__ __launch_bounds__(C::kThreads, 1) void block_gemm(const __grid_constant__ GemmParams p) {
  extern __shared__ std::uint8_t shared[];
  __shared__ std::uint32_t list[C::kList];
  __shared__ int listed;
  const Ring<C> ring((shared_address(shared) + 1023) & ~1023U);
  let_next_kernel_start();
  prepare<C>(p, ring);
  wait_for_previous_kernel();
  const int cluster = max(p.multicast, p.split), rank = cluster > 1 ? static_cast<int>(cluster_rank()) : 0;
  const int row_tiles = list_rows<C>(p, list, &listed);
  const int column_tiles = ((p.n + C::kColumns - 1) / C::kColumns + p.multicast - 1) / p.multicast;
  const Schedule<C::kRows, C::kColumns> schedule{p, list, row_tiles, column_tiles, rank};
  const int first = static_cast<int>(blockIdx.x) / cluster, stride = static_cast<int>(gridDim.x) / cluster;
  if (threadIdx.x >= C::kGroups * 128) {
    if constexpr (C::kGroups == 2) give_registers<40>();
    if (threadIdx.x == C::kGroups * 128) produce<C>(p, schedule, ring, first, stride);
    if (p.split > 1) cluster_sync();
  } else {
    if constexpr (C::kGroups == 2) take_registers<232>();
    consume<C>(p, schedule, ring, first, stride);
  }
  if (cluster > 1) cluster_sync();  // no CTA may leave while another can still write to it
}

}  // namespace railcast::kernels
