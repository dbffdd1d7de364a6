// Quantising what a block holds in registers. Two shapes: a band of 8 rows x 1024 columns (1x128 groups only), and a
// 128x128 tile (1x128 and 128x1 groups, and its transposed copy).
#pragma once
#include "kernels/vector.cuh"

namespace railcast::kernels::device {

// ---- the band: 256 threads, a warp a row, a half-warp a group, 8 elements a thread and step
// ----------------------------

struct BandPlace {
  static constexpr int rows_high = 8, cols_wide = 1024, steps = cols_wide / 256;
  std::int64_t rows, cols, row0, col0;

  __device__ __forceinline__ BandPlace(unsigned block, unsigned col_blocks, std::int64_t rows, std::int64_t cols)
      : rows(rows),
        cols(cols),
        row0(static_cast<std::int64_t>(block / col_blocks) * rows_high),
        col0(static_cast<std::int64_t>(block % col_blocks) * cols_wide) {}
  static unsigned across(std::int64_t cols) { return static_cast<unsigned>((cols + cols_wide - 1) / cols_wide); }
  static unsigned blocks(std::int64_t rows, std::int64_t cols) {
    return across(cols) * static_cast<unsigned>((rows + rows_high - 1) / rows_high);
  }
  __device__ __forceinline__ std::int64_t row() const { return row0 + threadIdx.x / 32; }
  __device__ __forceinline__ std::int64_t col(int step) const { return col0 + step * 256 + threadIdx.x % 32 * 8; }
  __device__ __forceinline__ bool holds(int step) const { return row() < rows && col(step) < cols; }
  __device__ __forceinline__ std::int64_t element(int step) const { return row() * cols + col(step); }
};

struct RowBand {
  float amax[BandPlace::cols_wide / kScaleGroup][BandPlace::rows_high];

  __device__ __forceinline__ uint2 quantize(int step, uint4 v, ScaleFormat format) {
    const int lane = threadIdx.x % 32;
    const float largest = group_amax<16>(max_abs2(v));
    if (lane % 16 == 0) amax[step * 2 + lane / 16][threadIdx.x / 32] = largest;
    float x[8];
    unpack8(v, x);
    return pack8_e4m3(x, group_scale(largest, format).inverse);
  }
  /// After a barrier. Eight rows of a group are neighbours in the scales: whole sectors are written.
  __device__ __forceinline__ void store_scales(const BandPlace& at, float* scales, std::int64_t stride,
                                               ScaleFormat format) const {
    if (threadIdx.x >= 64) return;
    const int group = threadIdx.x / 8, down = threadIdx.x % 8;
    const std::int64_t g = at.col0 / kScaleGroup + group, r = at.row0 + down;
    if (g < at.cols / kScaleGroup && r < at.rows) scales[g * stride + r] = group_scale(amax[group][down], format).scale;
  }
};

// ---- the tile: 256 threads, 8 rows x 8 columns each
// --------------------------------------------------------------------

struct TilePlace {
  std::int64_t rows, cols, row0, col0;
  int cg, rg;  ///< this thread: columns col0 + 8cg .. and rows row0 + 8rg ..

  __device__ __forceinline__ TilePlace(unsigned block, unsigned col_blocks, std::int64_t rows, std::int64_t cols)
      : rows(rows),
        cols(cols),
        row0(static_cast<std::int64_t>(block / col_blocks) * 128),
        col0(static_cast<std::int64_t>(block % col_blocks) * 128),
        cg(threadIdx.x % 16),
        rg(threadIdx.x / 16) {}
  __device__ __forceinline__ std::int64_t row(int i) const { return row0 + rg * 8 + i; }
  __device__ __forceinline__ std::int64_t col() const { return col0 + cg * 8; }
  __device__ __forceinline__ std::int64_t element(int i) const { return row(i) * cols + col(); }
};

/// A 128x128 tile of bytes, transposed: 16 chunks of 8 bytes a line, chunk c of line l kept at c ^ (l / 8) so that
/// neither the writing (lines 8 apart) nor the reading (whole lines) meets a bank twice.
struct TransposedTile {
  alignas(16) uint2 chunk[128][16];
  __device__ __forceinline__ void put(int line, int c, uint2 v) { chunk[line][c ^ (line / 8)] = v; }
  __device__ __forceinline__ uint4 pair(int line, int p) const {  // chunks 2p and 2p+1
    const int twist = line / 8;
    const uint4 v = *reinterpret_cast<const uint4*>(&chunk[line][(p ^ (twist >> 1)) * 2]);
    return (twist & 1) != 0 ? uint4{v.z, v.w, v.x, v.y} : v;
  }
  /// To rows of `out`, `stride` bytes apart.
  __device__ __forceinline__ void flush(E4m3* out, std::int64_t stride) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int line = i * 32 + threadIdx.x / 8, p = threadIdx.x % 8;
      store16(out + line * stride + p * 16, pair(line, p));
    }
  }
};

/// Byte k of each of `codes`' eight rows, for k = 0..7: an 8x8 byte transpose in registers.
__device__ __forceinline__ void transpose8x8(uint2 (&codes)[8]) {
  std::uint32_t t[2][2][4];  // [low/high rows][low/high columns][column]
#pragma unroll
  for (int h = 0; h < 2; ++h)
#pragma unroll
    for (int w = 0; w < 2; ++w) {
      const std::uint32_t a = w ? codes[4 * h].y : codes[4 * h].x, b = w ? codes[4 * h + 1].y : codes[4 * h + 1].x;
      const std::uint32_t c = w ? codes[4 * h + 2].y : codes[4 * h + 2].x,
                          d = w ? codes[4 * h + 3].y : codes[4 * h + 3].x;
      const std::uint32_t ab_lo = __byte_perm(a, b, 0x5140), cd_lo = __byte_perm(c, d, 0x5140);
      const std::uint32_t ab_hi = __byte_perm(a, b, 0x7362), cd_hi = __byte_perm(c, d, 0x7362);
      t[h][w][0] = __byte_perm(ab_lo, cd_lo, 0x5410), t[h][w][1] = __byte_perm(ab_lo, cd_lo, 0x7632);
      t[h][w][2] = __byte_perm(ab_hi, cd_hi, 0x5410), t[h][w][3] = __byte_perm(ab_hi, cd_hi, 0x7632);
    }
#pragma unroll
  for (int k = 0; k < 8; ++k) codes[k] = {t[0][k / 4][k % 4], t[1][k / 4][k % 4]};
}

struct TileScratch {
  TransposedTile tile;
  uint4 warp_amax[8][16];  ///< [warp][8 columns]: packed pairs
};

/// 1x128 groups of the tile: codes to q [rows, cols], scales to [cols/128, stride]. `seen(elements, codes)` is called
/// for each eight.
template <typename Seen>
__device__ __forceinline__ void quantize_tile_rows(const uint4 (&v)[8], const TilePlace& at, E4m3* q, float* scales,
                                                   std::int64_t stride, ScaleFormat format, Seen seen) {
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const GroupScale s = group_scale(group_amax<16>(max_abs2(v[i])), format);
    float x[8];
    unpack8(v[i], x);
    const uint2 codes = pack8_e4m3(x, s.inverse);
    store8(q + at.element(i), codes);
    if (at.cg == i) scales[at.col0 / kScaleGroup * stride + at.row(i)] = s.scale;
    seen(v[i], codes);
  }
}

__device__ __forceinline__ uint4 max_abs2(uint4 a, uint4 b) {
  return {max_abs2(a.x, b.x), max_abs2(a.y, b.y), max_abs2(a.z, b.z), max_abs2(a.w, b.w)};
}
__device__ __forceinline__ uint4 shuffle_xor(uint4 v, int lanes) {
  return {__shfl_xor_sync(full_warp, v.x, lanes), __shfl_xor_sync(full_warp, v.y, lanes),
          __shfl_xor_sync(full_warp, v.z, lanes), __shfl_xor_sync(full_warp, v.w, lanes)};
}
/// Largest magnitude of this thread's eight columns over the tile's 128 rows. Holds one barrier.
__device__ __forceinline__ void column_amax(const uint4 (&v)[8], const TilePlace& at, TileScratch& scratch,
                                            float (&amax)[8]) {
  uint4 most = v[0];
#pragma unroll
  for (int i = 1; i < 8; ++i) most = max_abs2(most, v[i]);
  most = max_abs2(most, shuffle_xor(most, 16));
  if (threadIdx.x % 32 < 16) scratch.warp_amax[threadIdx.x / 32][at.cg] = most;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < 8; ++w) most = max_abs2(most, scratch.warp_amax[w][at.cg]);
  unpack8(most, amax);
}

/// 128x1 groups of the tile: codes to q_t [cols, rows], scales to [rows/128, cols]. Called again only after a barrier.
__device__ __forceinline__ void quantize_tile_columns(const uint4 (&v)[8], const TilePlace& at, TileScratch& scratch,
                                                      E4m3* q_t, float* scales_t, ScaleFormat format) {
  float amax[8], inverse[8];
  column_amax(v, at, scratch, amax);
  float* to = scales_t + at.row0 / kScaleGroup * at.cols + at.col();
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const GroupScale s = group_scale(amax[k], format);
    inverse[k] = s.inverse;
    if (at.rg == k) to[k] = s.scale;
  }
  uint2 codes[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float x[8];
    unpack8(v[i], x);
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] *= inverse[k];
    codes[i] = pack8_e4m3(x, 1.0f);
  }
  transpose8x8(codes);
#pragma unroll
  for (int k = 0; k < 8; ++k) scratch.tile.put(at.cg * 8 + k, at.rg, codes[k]);
  __syncthreads();
  scratch.tile.flush(q_t + at.col0 * at.rows + at.row0, at.rows);
}

}  // namespace railcast::kernels::device
