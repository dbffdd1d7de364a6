// From accumulators to D. A whole band goes through shared memory, so that the next products begin while it is on its
// way: BF16 by TMA, FP32 added by a warp. Row tails of groups go straight from registers: a transpose within each quad
// of lanes makes 16-byte pieces, and tails are plain predicates.
#pragma once
#include <cuda_bf16.h>

#include "kernels/device.cuh"
#include "kernels/tile_config.cuh"

namespace railcast::kernels {

__device__ inline std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

__device__ inline void store_pair(std::uint32_t to, float a, float b) {
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(to), "f"(a), "f"(b) : "memory");
}
__device__ inline float4 load_four(std::uint32_t from) {
  float4 v;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "r"(from));
  return v;
}

/// How L2 should treat D. A D that L2 cannot hold leaves it first: else it pushes out rows and columns still to be
/// read.
__device__ inline std::uint64_t d_policy(const GemmParams& p) {
  std::uint64_t policy;
  if (p.streams_d) {
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  } else {
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  }
  return policy;
}
/// A box of shared memory to a tensor; what lies outside the tensor is dropped.
__device__ inline void tma_store(const CUtensorMap* map, int x, int y, std::uint32_t from, std::uint64_t policy) {
  asm volatile(
      "cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group.L2::cache_hint [%0, {%1, %2}], [%3], %4;" ::"l"(map),
      "r"(x), "r"(y), "r"(from), "l"(policy)
      : "memory");
}

/// Lanes 4i..4i+3 hold a 4x4 matrix, one row each; afterwards one column each.
__device__ inline void transpose_quad(std::uint32_t (&w)[4], int lane) {
#pragma unroll
  for (int bit = 1; bit <= 2; bit *= 2) {
    const bool upper = (lane & bit) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((i & bit) != 0) continue;
      const std::uint32_t received = __shfl_xor_sync(~0U, upper ? w[i] : w[i | bit], bit);
      w[i] = upper ? received : w[i];
      w[i | bit] = upper ? w[i | bit] : received;
    }
  }
}

/// Whether TMA may store all 64 rows of a band: it cuts off what lies past the last row of D, but not what lies past
/// the last row of a group.
__device__ inline bool whole(const GemmParams& p, const Work& w, int band) {
  const int row = w.row + band * kBand;
  return p.walk == Walk::dense ? row < w.limit : row + kBand <= w.limit;
}
/// Whether a warpgroup's part of a tile goes through shared memory: where its first band does.
template <class C>
__device__ bool through_shared(const GemmParams& p, const Work& w, int group) {
  return C::kStaged && p.split == 1 && w.k_count > 0 && w.column < p.n && whole(p, w, group);
}

/// A band to shared memory: pieces of 64 BF16 or 32 FP32 columns, rows of 128 bytes, 128-byte swizzle.
template <class C>
__device__ void stage(std::uint32_t to, const Lane& me, const float (&sum)[C::kColumns / 2]) {
  if constexpr (C::kTokens) {
    const std::uint32_t mine = to + me.row * kStep + me.lane % 2 * 8, turn = me.lane / 4 << 4;
#pragma unroll
    for (int j = 0; j < C::kColumns / 8; ++j) {
      const std::uint32_t at = mine + j / 4 * kBand * kStep + ((j % 4 * 2 + me.lane % 4 / 2) << 4 ^ turn);
      store_pair(at, sum[4 * j], sum[4 * j + 1]), store_pair(at + 8 * kStep, sum[4 * j + 2], sum[4 * j + 3]);
    }
  } else {
    const int row = me.warp * 16 + me.lane % 16;  // whose address this lane gives
    const std::uint32_t mine = row * kStep + ((me.lane / 16 ^ me.lane % 8) << 4);
#pragma unroll
    for (int i = 0; i < C::kColumns / 16; ++i) {
      const float* s = &sum[8 * i];
      store_matrices(to + i / 4 * kBand * kStep + (mine ^ i % 4 << 5), pack(s[0], s[1]), pack(s[2], s[3]),
                     pack(s[4], s[5]), pack(s[6], s[7]));
    }
  }
}

/// What `stage` has laid down of a band to D, by TMA.
template <class C>
__device__ void send_staged(const GemmParams& p, const Work& w, int band, std::uint32_t from, std::uint64_t policy) {
  for (int c = 0; c < C::kColumns / 64; ++c, from += kBand * kStep)
    tma_store(&p.d_tiles, w.column + 64 * c, w.row + band * kBand, from, policy);
}

/// The same of FP32, added to D by the warp, a row at a time; both parts of a CTA's first tile by the same thread in
/// order, so results repeat bit for bit. TMA could add too, but what waits for device memory there keeps the loads
/// behind it waiting (NOTES.md).
template <class C>
__device__ void add_staged(const GemmParams& p, const Work& w, int band, std::uint32_t from) {
  static_assert(C::kColumns == 128);
  const int lane = threadIdx.x % 32, row = w.row + band * kBand, column = w.column + 4 * lane;
  if (column >= p.n) return;
  float* d = static_cast<float*>(p.d) + (static_cast<std::int64_t>(w.group) * p.m + row) * p.n + column;
  const int rows = min(kBand, w.limit - row);
  from += lane / 8 * kBand * kStep;
#pragma unroll 4
  for (int r = 0; r < rows; ++r, d += p.n) {
    const float4 v = load_four(from + r * kStep + ((lane % 8 ^ r % 8) << 4));
    add_to_global(d, v.x, v.y, v.z, v.w);
  }
}

/// BF16 rows r and r + 8 of a band.
template <class C>
__device__ void store_bf16(const GemmParams& p, const Work& w, const Lane& me, int band,
                           const float (&sum)[C::kColumns / 2]) {
  constexpr int kEights = C::kColumns / 8;
  auto* d = static_cast<__nv_bfloat16*>(p.d);
#pragma unroll
  for (int j = 0; j < kEights; j += 4) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      std::uint32_t words[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        words[i] = j + i < kEights ? pack(sum[4 * min(j + i, kEights - 1) + 2 * half],
                                          sum[4 * min(j + i, kEights - 1) + 2 * half + 1])
                                   : 0;
      transpose_quad(words, me.lane);
      const int row = w.row + band * kBand + me.row + 8 * half, eight = j + me.lane % 4;
      const int column = w.column + 8 * eight;
      if (row < w.limit && eight < kEights && column < p.n)
        *reinterpret_cast<uint4*>(d + static_cast<std::int64_t>(row) * p.n + column) =
            make_uint4(words[0], words[1], words[2], words[3]);
    }
  }
}

/// FP32 rows r and r + 8 added to D: even lanes add row r, odd ones r + 8, four columns each. Every element is added to
/// once per launch, so the result does not depend on the order.
template <class C>
__device__ void add_fp32(const GemmParams& p, const Work& w, const Lane& me, int band,
                         const float (&sum)[C::kColumns / 2]) {
  const bool odd = (me.lane & 1) != 0;
  const int row = w.row + band * kBand + me.row + (odd ? 8 : 0);
  float* d = static_cast<float*>(p.d) + (static_cast<std::int64_t>(w.group) * p.m + row) * p.n;
#pragma unroll
  for (int j = 0; j < C::kColumns / 8; ++j) {
    const float x = __shfl_xor_sync(~0U, odd ? sum[4 * j] : sum[4 * j + 2], 1);
    const float y = __shfl_xor_sync(~0U, odd ? sum[4 * j + 1] : sum[4 * j + 3], 1);
    const int column = w.column + 8 * j + me.lane % 4 / 2 * 4;
    const float4 v =
        odd ? make_float4(x, y, sum[4 * j + 2], sum[4 * j + 3]) : make_float4(sum[4 * j], sum[4 * j + 1], x, y);
    if (row < w.limit && column < p.n) add_to_global(d + column, v.x, v.y, v.z, v.w);
  }
}

}  // namespace railcast::kernels
