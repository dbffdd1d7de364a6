// Which tile of D a CTA works on next. Persistent CTAs (or clusters) take tiles t, t + clusters, ...; the order walks
// `raster` row tiles (a strip) before it moves to the next column tile, so that what runs at the same time shares rows
// and columns in L2. Masked: no strip has row tiles of two groups. Columns of one group then come one after the other
// instead of the same columns of all groups at the same time, which lie a multiple of some MB apart in memory.
#pragma once
#include <cuda.h>

#include <cstdint>

namespace railcast::kernels {

enum class Walk : int { dense, contiguous, masked, token_groups };

/// n / divisor without a division, for 0 <= n < 2^31.
struct Divide {
  std::uint32_t factor = 0, shift = 0;  ///< factor 0: the divisor is 1

  Divide() = default;
  explicit Divide(std::uint32_t divisor) {
    if (divisor == 1) return;
    while ((std::uint64_t{1} << shift) < divisor) ++shift;
    factor = static_cast<std::uint32_t>(((std::uint64_t{1} << (31 + shift)) + divisor - 1) / divisor), --shift;
  }
  __device__ int by(int n) const {
    return factor == 0 ? n : static_cast<int>(__umulhi(static_cast<std::uint32_t>(n), factor) >> shift);
  }
};

/// Everything a launch carries; lives in constant memory as a __grid_constant__ parameter.
struct GemmParams {
  CUtensorMap a, b, a_scales, b_scales;  ///< b_scales: only 1x128 (wgrad)
  CUtensorMap d_tiles;                   ///< BF16 D in boxes of 64 rows x 128 bytes
  const float* weight_scales;            ///< 128x128 scales [groups][ceil(n/128)][k_blocks]
  void* d;
  const int* map;   ///< block_group, valid_rows or k_offsets
  const int* rows;  ///< rows in use, or null
  int m, n, k_blocks, groups;
  int raster, multicast, split;  ///< raster: a power of two, at most 16
  int column_tiles, height;      ///< tiles (of a cluster) side by side; row tiles of most strips
  bool streams_d;                ///< D is more than L2 holds
  Divide by_columns, by_height, by_split;
  Walk walk;
};

/// One tile. Rows are global rows of A and D; `limit` is the first row not to be written.
struct Work {
  int row, limit, column, group, k_first, k_count, scale_row, scale_k;
};

constexpr int kRowTiles = 2048;  ///< capacity of the list of row tiles (grouped walks)

/// An entry of that list.
struct RowTile {
  std::uint32_t group : 10;
  std::uint32_t block : 11;    ///< contiguous: its first 128 rows of the buffer; masked: its index in the group
  std::uint32_t in_strip : 4;  ///< masked: how many row tiles of its strip come before it
  std::uint32_t strip : 4;     ///< masked: how many row tiles of its strip there are beside it
  std::uint32_t two : 1;       ///< contiguous: 256 rows, not 128
};

/// kStaggers: sums are added to D, and doing so takes memory's time. So that CTAs do it at different times, each begins
/// with a part of its first tile's steps (the more, the later it stands) and ends with the rest of them. One thread
/// adds both parts of an element, one after the other, so the result is the same in every run.
template <int kRows, int kColumns, bool kStaggers>
struct Schedule {
  const GemmParams& p;
  const RowTile* list;
  int row_tiles, rank;
  int first, stride;  ///< of this CTA's cluster

  __device__ int count() const { return row_tiles * p.column_tiles * (p.walk == Walk::token_groups ? p.groups : 1); }
  __device__ bool staggers() const { return kStaggers && first + stride < count(); }
  /// t goes from `first` to below this by `stride`.
  __device__ int end() const { return count() + (staggers() ? stride : 0); }

  __device__ Work at(int t) const {
    const bool again = kStaggers && t >= count();
    Work w = tile(again ? first : t);
    if (staggers() && (again || t == first)) {
      const int begun = w.k_count * first / stride;
      if (again) w.k_first += begun;
      w.k_count = again ? w.k_count - begun : begun;
    }
    return w;
  }

  __device__ Work tile(int t) const {
    Work w{};
    const int per_group = row_tiles * p.column_tiles;
    if (p.walk == Walk::token_groups) w.group = t / per_group, t -= w.group * per_group;
    int first = p.by_columns.by(t), height;  // a row tile of the strip, then its first
    if (p.walk == Walk::masked) {
      const RowTile tile = list[first];
      first -= tile.in_strip, height = static_cast<int>(tile.strip) + 1;
    } else {
      first &= -p.raster, height = min(p.raster, row_tiles - first);
    }
    const int rest = t - first * p.column_tiles;
    const int column = height == 1 ? rest : height == p.height ? p.by_height.by(rest) : rest / height;
    const int row_tile = first + rest - column * height;
    w.column = (column * p.multicast + (p.multicast > 1 ? rank : 0)) * kColumns;
    place_rows(w, row_tile);
    place_k(w);
    return w;
  }

  __device__ void place_rows(Work& w, int row_tile) const {
    if (p.walk == Walk::dense || p.walk == Walk::token_groups) {
      w.row = w.scale_row = row_tile * kRows, w.limit = p.m;
      return;
    }
    const RowTile tile = list[row_tile];
    const int block = static_cast<int>(tile.block);
    w.group = static_cast<int>(tile.group);
    if (p.walk == Walk::masked) {
      w.scale_row = block * kRows, w.row = w.group * p.m + w.scale_row;
      w.limit = w.group * p.m + __ldg(p.map + w.group), w.scale_k = w.group * p.k_blocks;
    } else {
      w.row = w.scale_row = block * 128;
      w.limit = min(w.row + (tile.two != 0 ? 256 : 128), p.rows != nullptr ? __ldg(p.rows) : p.m);
    }
  }

  __device__ void place_k(Work& w) const {
    if (p.walk == Walk::token_groups) {
      w.k_first = __ldg(p.map + w.group) / 128;
      w.k_count = __ldg(p.map + w.group + 1) / 128 - w.k_first;
    } else {
      const bool split = !kStaggers && p.split > 1;  // what is added to D shares no K
      w.k_first = split ? p.by_split.by(rank * p.k_blocks) : 0;
      w.k_count = (split ? p.by_split.by((rank + 1) * p.k_blocks) : p.k_blocks) - w.k_first;
    }
  }
};

/// Row tiles of runs of blocks with the same expert: one or (256-row tiles) two 128-row blocks each. One warp; returns
/// their number.
template <int kRows>
__device__ int list_contiguous(const GemmParams& p, RowTile* list) {
  const int lane = threadIdx.x % 32;
  const int blocks = ((p.rows != nullptr ? min(__ldg(p.rows), p.m) : p.m) + 127) / 128;
  int count = 0, carried_start = 0, carried_group = -2;
  for (int base = 0; base < blocks; base += 32) {
    const int block = base + lane;
    const int group = block < blocks ? __ldg(p.map + block) : -1;
    const int next = block + 1 < blocks ? __ldg(p.map + block + 1) : -1;
    int previous = __shfl_up_sync(~0U, group, 1);
    if (lane == 0) previous = carried_group;
    const unsigned starts = __ballot_sync(~0U, group != previous) & (~0U >> (31 - lane));
    const int run = starts != 0 ? base + 31 - __clz(static_cast<int>(starts)) : carried_start;
    const bool tile = group >= 0 && (block - run) % (kRows == 256 ? 2 : 1) == 0;
    const unsigned tiles = __ballot_sync(~0U, tile);
    const bool two = kRows == 256 && next == group;
    if (tile)
      list[count + __popc(tiles & ((1U << lane) - 1))] =
          RowTile{static_cast<unsigned>(group), static_cast<unsigned>(block), 0, 0, two ? 1U : 0U};
    count += __popc(tiles);
    carried_start = __shfl_sync(~0U, run, 31), carried_group = __shfl_sync(~0U, group, 31);
  }
  return count;
}

/// Row tiles of each group's valid rows. One warp; returns their number.
template <int kRows>
__device__ int list_masked(const GemmParams& p, RowTile* list) {
  const int lane = threadIdx.x % 32;
  int count = 0;
  for (int base = 0; base < p.groups; base += 32) {
    const int group = base + lane;
    const int tiles = group < p.groups ? (min(__ldg(p.map + group), p.m) + kRows - 1) / kRows : 0;
    int before = tiles;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int other = __shfl_up_sync(~0U, before, step);
      if (lane >= step) before += other;
    }
    for (int i = 0; i < tiles; ++i) {
      const int in_strip = i & (p.raster - 1), strip = min(p.raster, tiles - i + in_strip) - 1;
      list[count + before - tiles + i] = RowTile{static_cast<unsigned>(group), static_cast<unsigned>(i),
                                                 static_cast<unsigned>(in_strip), static_cast<unsigned>(strip), 0};
    }
    count += __shfl_sync(~0U, before, 31);
  }
  return count;
}

}  // namespace railcast::kernels
