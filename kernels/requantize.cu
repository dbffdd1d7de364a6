#include "kernels/requantize.hpp"

#include "kernels/quantize_tile.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 256, kSide = 128, kWarps = kThreads / 32;

struct Scratch {
  TransposedTile tile;
  float amax[kWarps][kSide];
  float scale[kSide];    ///< of each row
  float inverse[kSide];  ///< of each column
};

/// Eight codes of a row as numbers.
__device__ __forceinline__ void numbers(uint2 codes, float scale, float (&x)[8]) {
  unpack8_e4m3(codes, x);
#pragma unroll
  for (int k = 0; k < 8; ++k) x[k] *= scale;
}

/// Largest magnitudes of this warp's rows of the tile, by column. Ends in a barrier.
__device__ __forceinline__ void column_amax(const uint2 (&codes)[8], const TilePlace& at, Scratch& t) {
  float amax[8] = {};
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float x[8];
    numbers(codes[i], t.scale[at.rg * 8 + i], x);
#pragma unroll
    for (int k = 0; k < 8; ++k) amax[k] = fmaxf(amax[k], fabsf(x[k]));
  }
#pragma unroll
  for (int k = 0; k < 8; ++k) amax[k] = fmaxf(amax[k], __shfl_xor_sync(full_warp, amax[k], 16));
  auto* mine = reinterpret_cast<float4*>(&t.amax[threadIdx.x / 32][at.cg * 8]);
  if (threadIdx.x % 32 < 16)
    mine[0] = {amax[0], amax[1], amax[2], amax[3]}, mine[1] = {amax[4], amax[5], amax[6], amax[7]};
  __syncthreads();
}

/// A 128x128 tile a block; a thread keeps eight rows of eight columns.
__global__ __launch_bounds__(kThreads, 4) void turn(const RequantizeArgs a, unsigned col_blocks) {
  __shared__ Scratch t;
  const TilePlace at(blockIdx.x, col_blocks, a.rows, a.cols);
  uint2 codes[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) codes[i] = __ldcs(reinterpret_cast<const uint2*>(a.q + at.element(i)));
  if (threadIdx.x < kSide) t.scale[threadIdx.x] = a.scales[at.col0 / kSide * a.scale_stride + at.row0 + threadIdx.x];
  __syncthreads();
  float inverse[8];
  column_amax(codes, at, t);
  share_scales(t.inverse, a.scales_t + at.row0 / kSide * a.cols + at.col0, a.format, [&](int column) {
    float amax = 0;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) amax = fmaxf(amax, t.amax[w][column]);
    return amax;
  });
  load8(t.inverse, at, inverse);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float x[8];
    numbers(codes[i], t.scale[at.rg * 8 + i], x);
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] *= inverse[k];
    codes[i] = pack8_e4m3(x, 1.0F);
  }
  transpose8x8(codes);
#pragma unroll
  for (int k = 0; k < 8; ++k) t.tile.put(at.cg * 8 + k, at.rg, codes[k]);
  __syncthreads();
  t.tile.flush(a.q_t + at.col0 * a.rows + at.row0, a.rows);
}

}  // namespace

void requantize(const RequantizeArgs& a, const Launch& launch) {
  const char* name = "requantize";
  require(a.rows >= 0 && a.rows % kSide == 0 && a.rows / kSide < 65536, name,
          "rows a multiple of 128 below 8388608, got " + std::to_string(a.rows));
  require(a.cols > 0 && a.cols % kSide == 0, name, "cols a multiple of 128, got " + std::to_string(a.cols));
  require(a.q && a.scales && a.q_t && a.scales_t && aligned16(a.q) && aligned16(a.q_t), name,
          "q and q_t (aligned to 16 bytes), scales and scales_t");
  require(a.scale_stride >= a.rows, name, "a scale_stride of at least rows, got " + std::to_string(a.scale_stride));
  if (a.rows == 0) return;
  const auto col_blocks = static_cast<unsigned>(a.cols / kSide);
  turn<<<col_blocks* static_cast<unsigned>(a.rows / kSide), kThreads, 0, launch.stream>>>(a, col_blocks);
  check_launch(name);
}

}  // namespace railcast::kernels
