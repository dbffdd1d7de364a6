#include "kernels/quantize.hpp"
#include "kernels/quantize_tile.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

/// Per-thread tallies of eight elements and their codes.
struct Tally {
  unsigned at_max_128 = 0, flushed = 0;  ///< at_max_128: 128 times the codes at +-448
  __device__ __forceinline__ void add(uint4 x, uint2 codes) {
    const std::uint32_t a = codes.x & 0x7F7F7F7Fu, b = codes.y & 0x7F7F7F7Fu;
    at_max_128 = __dp4a((a + 0x02020202u) & 0x80808080u, 0x01010101u, at_max_128);  // 448 is 0x7E
    at_max_128 = __dp4a((b + 0x02020202u) & 0x80808080u, 0x01010101u, at_max_128);
    const std::uint32_t kept_a = a + 0x7F7F7F7Fu, kept_b = b + 0x7F7F7F7Fu;
    if ((kept_a & kept_b & 0x80808080u) == 0x80808080u) return;  // nearly always
    const std::uint32_t kept = (kept_a & 0x80808080u) | (kept_b & 0x80808080u) >> 1;
    const std::uint32_t inputs =
        nonzero_halves(x.x) | nonzero_halves(x.y) >> 1 | nonzero_halves(x.z) >> 2 | nonzero_halves(x.w) >> 3;
    flushed += __popc(inputs) - __popc(kept);
  }
  /// The top bit of each half that is not zero.
  static __device__ __forceinline__ std::uint32_t nonzero_halves(std::uint32_t v) {
    return ((v & 0x7FFF7FFFu) + 0x7FFF7FFFu) & 0x80008000u;
  }
  /// One atomic a block and counter.
  __device__ void publish(float amax, QuantizeStats* stats) const {
    const unsigned bits = __float_as_uint(amax);
    __shared__ unsigned block[3];
    if (threadIdx.x < 3) block[threadIdx.x] = 0;
    __syncthreads();
    const unsigned most = __reduce_max_sync(full_warp, bits);
    const unsigned top = __reduce_add_sync(full_warp, at_max_128 / 128), zero = __reduce_add_sync(full_warp, flushed);
    if (threadIdx.x % 32 == 0) atomicMax(&block[0], most), atomicAdd(&block[1], top), atomicAdd(&block[2], zero);
    __syncthreads();
    if (threadIdx.x != 0) return;
    atomicMax(&stats->amax_bits, block[0]);
    atomicAdd(&stats->at_max, static_cast<unsigned long long>(block[1]));
    if (block[2] != 0) atomicAdd(&stats->flushed, static_cast<unsigned long long>(block[2]));
  }
};

// ---- one orientation ----------------------------------------------------------------------------------------------
template <bool with_stats>
__global__ __launch_bounds__(256) void quantize_rows(const QuantizeArgs a, unsigned col_blocks) {
  __shared__ RowBand band;
  const BandPlace at(blockIdx.x, col_blocks, a.rows, a.cols);
  uint4 v[BandPlace::steps];
#pragma unroll
  for (int i = 0; i < BandPlace::steps; ++i) v[i] = at.holds(i) ? load16(a.x + at.element(i)) : uint4{};
  Tally tally;
  std::uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < BandPlace::steps; ++i) {
    const uint2 codes = band.quantize(i, v[i], a.format);
    if (!at.holds(i)) continue;
    store8(a.q + at.element(i), codes);
    if (with_stats) tally.add(v[i], codes), most = max_abs2(most, max_abs2(v[i]));
  }
  __syncthreads();
  band.store_scales(at, a.scales, a.scale_stride, a.format);
  if (with_stats) tally.publish(max_of_halves(most), a.stats);
}

// ---- both orientations --------------------------------------------------------------------------------------------
template <bool with_stats>
__global__ __launch_bounds__(256, 3) void quantize_both(const QuantizeArgs a, unsigned col_blocks) {
  __shared__ TileScratch scratch;
  const TilePlace at(blockIdx.x, col_blocks, a.rows, a.cols);
  uint4 v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = load16(a.x + at.element(i));
  if (with_stats) {
    Tally tally;
    const float amax = quantize_tile_rows(v, at, a.q, a.scales, a.scale_stride, a.format,
                                          [&tally](uint4 x, uint2 c) { tally.add(x, c); });
    tally.publish(amax, a.stats);
  } else {
    quantize_tile_rows(v, at, a.q, a.scales, a.scale_stride, a.format, [](uint4, uint2) {});
  }
  quantize_tile_columns(v, at, scratch, a.q_t, a.scales_t, a.format);
}

// ---- weights: one scale a 128x128 block ---------------------------------------------------------------------------
__global__ __launch_bounds__(256) void quantize_blocks(const QuantizeWeightArgs a) {
  __shared__ TransposedTile tile;
  __shared__ float warp_amax[8];
  const int cg = threadIdx.x % 16, rg = threadIdx.x / 16;
  const std::int64_t k_blocks = a.k / 128, bn = blockIdx.x / k_blocks, bk = blockIdx.x % k_blocks;
  const std::int64_t at = (bn * 128 + rg * 8) * a.k + bk * 128 + cg * 8;
  uint4 v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = load16(a.w + at + i * a.k);
  std::uint32_t most = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) most = max_abs2(most, max_abs2(v[i]));
  const float mine = group_amax<32>(most);
  if (threadIdx.x % 32 == 0) warp_amax[threadIdx.x / 32] = mine;
  __syncthreads();
  float amax = 0;
#pragma unroll
  for (int w = 0; w < 8; ++w) amax = fmaxf(amax, warp_amax[w]);
  const GroupScale s = group_scale(amax, a.format);
  uint2 codes[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float x[8];
    unpack8(v[i], x);
    codes[i] = pack8_e4m3(x, s.inverse);
    store8(a.q + at + i * a.k, codes[i]);
  }
  if (threadIdx.x == 0) a.scales[bn * k_blocks + bk] = s.scale;
  if (a.q_t == nullptr) return;
  if (threadIdx.x == 0) a.scales_t[bk * (a.n / 128) + bn] = s.scale;
  transpose8x8(codes);
#pragma unroll
  for (int k = 0; k < 8; ++k) tile.put(cg * 8 + k, rg, codes[k]);
  __syncthreads();
  tile.flush(a.q_t + bk * 128 * a.n + bn * 128, a.n);
}

void check(const QuantizeArgs& a) {
  const char* name = "quantize";
  require(a.rows >= 0 && a.cols > 0 && a.cols % 128 == 0, name,
          "cols a positive multiple of 128, got " + std::to_string(a.cols));
  require(a.x != nullptr && a.q != nullptr && a.scales != nullptr, name, "x, q and scales");
  require(aligned16(a.x) && aligned16(a.q) && aligned16(a.q_t), name, "x, q and q_t aligned to 16 bytes");
  require(a.scale_stride >= a.rows, name, "scale_stride of at least rows, got " + std::to_string(a.scale_stride));
  if (a.q_t == nullptr) return;
  require(a.scales_t != nullptr, name, "scales_t beside q_t");
  require(a.rows % 128 == 0, name,
          "rows a multiple of 128 for the transposed copy, got " + std::to_string(a.rows) + " (pad, as permute does)");
}

}  // namespace

void quantize(const QuantizeArgs& a, const Launch& launch) {
  check(a);
  if (a.rows == 0) return;
  if (a.q_t != nullptr) {
    const auto col_blocks = static_cast<unsigned>(a.cols / 128);
    const unsigned blocks = col_blocks * static_cast<unsigned>(a.rows / 128);
    if (a.stats != nullptr)
      quantize_both<true><<<blocks, 256, 0, launch.stream>>>(a, col_blocks);
    else
      quantize_both<false><<<blocks, 256, 0, launch.stream>>>(a, col_blocks);
  } else {
    const unsigned col_blocks = BandPlace::across(a.cols), blocks = BandPlace::blocks(a.rows, a.cols);
    if (a.stats != nullptr)
      quantize_rows<true><<<blocks, 256, 0, launch.stream>>>(a, col_blocks);
    else
      quantize_rows<false><<<blocks, 256, 0, launch.stream>>>(a, col_blocks);
  }
  check_launch("quantize");
}

void quantize_weight(const QuantizeWeightArgs& a, const Launch& launch) {
  require(a.n > 0 && a.k > 0 && a.n % 128 == 0 && a.k % 128 == 0, "quantize_weight",
          "n and k multiples of 128, got " + std::to_string(a.n) + " x " + std::to_string(a.k));
  require(a.w != nullptr && a.q != nullptr && a.scales != nullptr, "quantize_weight", "w, q and scales");
  require((a.q_t == nullptr) == (a.scales_t == nullptr), "quantize_weight", "q_t and scales_t together");
  quantize_blocks<<<static_cast<unsigned>(a.n / 128 * (a.k / 128)), 256, 0, launch.stream>>>(a);
  check_launch("quantize_weight");
}

}  // namespace railcast::kernels
