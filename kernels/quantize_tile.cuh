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
  float inverse[128];      ///< of each column
};

/// Largest magnitudes over the half-warp of eight packed words, in five shuffles: every step halves the words that a
/// lane still holds. The lane gets that of word row_of_lane().
__device__ __forceinline__ int row_of_lane() { return threadIdx.x % 16 / 4 * 2 + threadIdx.x % 2; }
__device__ __forceinline__ constexpr int lane_of_row(int row) { return row / 2 * 4 + row % 2; }
__device__ __forceinline__ float amax_of_rows(const std::uint32_t (&most)[8]) {
  std::uint32_t pair[4];  // rows 2p (low half) and 2p + 1
#pragma unroll
  for (int p = 0; p < 4; ++p)
    pair[p] =
        max_abs2(__byte_perm(most[2 * p], most[2 * p + 1], 0x5410), __byte_perm(most[2 * p], most[2 * p + 1], 0x7632));
  const bool upper = (threadIdx.x & 8) != 0, odd = (threadIdx.x & 4) != 0;
#pragma unroll
  for (int p = 0; p < 2; ++p)
    pair[p] = max_abs2(upper ? pair[p + 2] : pair[p], __shfl_xor_sync(full_warp, upper ? pair[p] : pair[p + 2], 8));
  std::uint32_t last = max_abs2(odd ? pair[1] : pair[0], __shfl_xor_sync(full_warp, odd ? pair[0] : pair[1], 4));
  last = max_abs2(last, __shfl_xor_sync(full_warp, last, 2));
  last = max_abs2(last, __shfl_xor_sync(full_warp, last, 1));
  return fabsf(threadIdx.x % 2 == 0 ? low(last) : high(last));
}

/// 1x128 groups of the tile: codes to q [rows, cols], scales to [cols/128, stride]. `seen(elements, codes)` is called
/// for each eight. Each scale is worked out by one lane for all. Returns the largest magnitude of row row_of_lane().
template <typename Seen>
__device__ __forceinline__ float quantize_tile_rows(const uint4 (&v)[8], const TilePlace& at, E4m3* q, float* scales,
                                                    std::int64_t stride, ScaleFormat format, Seen seen) {
  std::uint32_t most[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) most[i] = max_abs2(v[i]);
  const float amax = amax_of_rows(most);
  const GroupScale mine = group_scale(amax, format);
  if ((threadIdx.x & 2) == 0) scales[at.col0 / kScaleGroup * stride + at.row(row_of_lane())] = mine.scale;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float inverse = __shfl_sync(full_warp, mine.inverse, lane_of_row(i), 16);
    float x[8];
    unpack8(v[i], x);
    const uint2 codes = pack8_e4m3(x, inverse);
    store8(q + at.element(i), codes);
    seen(v[i], codes);
  }
  return amax;
}

__device__ __forceinline__ uint4 max_abs2(uint4 a, uint4 b) {
  return {max_abs2(a.x, b.x), max_abs2(a.y, b.y), max_abs2(a.z, b.z), max_abs2(a.w, b.w)};
}
__device__ __forceinline__ uint4 shuffle_xor(uint4 v, int lanes) {
  return {__shfl_xor_sync(full_warp, v.x, lanes), __shfl_xor_sync(full_warp, v.y, lanes),
          __shfl_xor_sync(full_warp, v.z, lanes), __shfl_xor_sync(full_warp, v.w, lanes)};
}

/// A thread a column: its scale to memory, its inverse to all. Ends in a barrier.
template <typename Amax>
__device__ __forceinline__ void share_scales(float (&inverse)[128], float* scales, ScaleFormat format, Amax amax) {
  if (threadIdx.x < 128) {
    const GroupScale s = group_scale(amax(static_cast<int>(threadIdx.x)), format);
    scales[threadIdx.x] = s.scale, inverse[threadIdx.x] = s.inverse;
  }
  __syncthreads();
}
/// This thread's eight.
__device__ __forceinline__ void load8(const float (&shared)[128], const TilePlace& at, float (&x)[8]) {
  const auto* from = reinterpret_cast<const float4*>(shared + at.cg * 8);
  const float4 a = from[0], b = from[1];
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

/// Scales of the tile's columns, of which this thread's eight inverses are returned. Holds two barriers.
__device__ __forceinline__ void column_scales(const uint4 (&v)[8], const TilePlace& at, TileScratch& scratch,
                                              float* scales, ScaleFormat format, float (&inverse)[8]) {
  uint4 most = v[0];
#pragma unroll
  for (int i = 1; i < 8; ++i) most = max_abs2(most, v[i]);
  most = max_abs2(most, shuffle_xor(most, 16));
  if (threadIdx.x % 32 < 16) scratch.warp_amax[threadIdx.x / 32][at.cg] = most;
  __syncthreads();
  share_scales(scratch.inverse, scales, format, [&](int column) {
    float amax = 0;
#pragma unroll
    for (int w = 0; w < 8; ++w)
      amax = fmaxf(amax, fabsf(float_from_bf16(reinterpret_cast<const Bf16*>(scratch.warp_amax[w])[column])));
    return amax;
  });
  load8(scratch.inverse, at, inverse);
}

/// 128x1 groups of the tile: codes to q_t [cols, rows], scales to [rows/128, cols]. May be called again at once: the
/// barriers are behind the scratch's last readers.
__device__ __forceinline__ void quantize_tile_columns(const uint4 (&v)[8], const TilePlace& at, TileScratch& scratch,
                                                      E4m3* q_t, float* scales_t, ScaleFormat format) {
  float inverse[8];
  column_scales(v, at, scratch, scales_t + at.row0 / kScaleGroup * at.cols + at.col0, format, inverse);
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
