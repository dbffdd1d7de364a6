#include "kernels/swiglu.hpp"

#include "kernels/quantize_tile.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

__device__ __forceinline__ float sigmoid(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }

/// A band of the output a block, as quantize does; h is rounded to BF16 and quantised from that.
__global__ __launch_bounds__(256) void swiglu_band(const SwiGluArgs a, unsigned col_blocks) {
  __shared__ RowBand band;
  const BandPlace at(blockIdx.x, col_blocks, a.rows, a.cols);
  uint4 gate[BandPlace::steps], up[BandPlace::steps];
#pragma unroll
  for (int i = 0; i < BandPlace::steps; ++i) {
    const Bf16* from = a.gate_up + at.row() * 2 * a.cols + at.col(i);
    gate[i] = at.holds(i) ? load16(from) : uint4{};
    up[i] = at.holds(i) ? load16(from + a.cols) : uint4{};
  }
  const float weight = a.weight != nullptr && at.row() < a.rows ? a.weight[at.row()] : 1.0f;
#pragma unroll
  for (int i = 0; i < BandPlace::steps; ++i) {
    float g[8], u[8];
    unpack8(gate[i], g), unpack8(up[i], u);
#pragma unroll
    for (int k = 0; k < 8; ++k) g[k] *= sigmoid(g[k]) * u[k] * weight;
    const uint4 h = pack8(g);
    if (a.h != nullptr && at.holds(i)) store16(a.h + at.element(i), h);
    if (a.q == nullptr) continue;
    const uint2 codes = band.quantize(i, h, a.format);
    if (at.holds(i)) store8(a.q + at.element(i), codes);
  }
  if (a.q == nullptr) return;
  __syncthreads();
  band.store_scales(at, a.scales, a.scale_stride, a.format);
}

/// Gate, up and d_h of this thread's 8x8 elements, as they lie in memory.
struct Cached {
  uint2 gate[8], up[8];
  uint4 d_h[8];

  __device__ __forceinline__ Cached(const SwiGluBackwardArgs& a, const TilePlace& at) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const E4m3* from = a.gate_up + at.row(i) * 2 * a.cols + at.col();
      gate[i] = __ldcs(reinterpret_cast<const uint2*>(from));
      up[i] = __ldcs(reinterpret_cast<const uint2*>(from + a.cols));
      d_h[i] = load16(a.d_h + at.element(i));
    }
  }
};

/// What a row of the tile needs beside its elements.
struct RowFactors {
  float gate_scale, up_scale, weight;
  __device__ __forceinline__ RowFactors(const SwiGluBackwardArgs& a, const TilePlace& at, int i) {
    const float* scales = a.gate_up_scales + at.row(i);
    gate_scale = scales[at.col0 / kScaleGroup * a.scale_stride];
    up_scale = scales[(a.cols + at.col0) / kScaleGroup * a.scale_stride];
    weight = a.weight != nullptr ? a.weight[at.row(i)] : 1.0f;
  }
};

/// A row of this thread's share: the forward's h from the cached inputs, both gradients, and its part of d_weight.
__device__ __forceinline__ float backward_row(const Cached& in, const RowFactors& f, int i, uint4& h, uint4& d_gate,
                                              uint4& d_up) {
  float g[8], u[8], d[8], out[8], sum = 0;
  unpack8_e4m3(in.gate[i], g), unpack8_e4m3(in.up[i], u), unpack8(in.d_h[i], d);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    const float gate = g[k] * f.gate_scale, up = u[k] * f.up_scale, s = sigmoid(gate), silu = gate * s;
    const float unweighted = silu * up, weighted = d[k] * f.weight;
    sum += d[k] * unweighted;
    out[k] = unweighted * f.weight;
    g[k] = weighted * up * (s + silu * (1.0f - s));
    u[k] = weighted * silu;
  }
  h = pack8(out), d_gate = pack8(g), d_up = pack8(u);
  return sum;
}

/// Both gradients wait in shared memory, each thread's own part, while h is quantised: in registers they would spill.
struct BackwardScratch {
  TileScratch tile;
  uint4 gradient[2][8][256];  ///< [d_gate, d_up][row of the thread][thread]
};

/// One orientation pair of d_gate (`right` false) or d_up (true) into its half of the [rows, 2*cols] outputs.
__device__ __forceinline__ void store_gradient(const SwiGluBackwardArgs& a, TilePlace at, bool right,
                                               BackwardScratch& scratch) {
  at.cols = 2 * a.cols;
  if (right) at.col0 += a.cols;
  uint4 v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = scratch.gradient[right][i][threadIdx.x];
  quantize_tile_rows(v, at, a.d_q, a.d_scales, a.scale_stride, a.format, [](uint4, uint2) {});
  quantize_tile_columns(v, at, scratch.tile, a.d_q_t, a.d_scales_t, a.format);
}

__global__ __launch_bounds__(256, 2) void swiglu_backward_tile(const SwiGluBackwardArgs a, unsigned col_blocks) {
  extern __shared__ __align__(16) unsigned char shared[];
  BackwardScratch& scratch = *reinterpret_cast<BackwardScratch*>(shared);
  const TilePlace at(blockIdx.x, col_blocks, a.rows, a.cols);
  uint4 h[8];
  float d_weight[8];
  {
    const Cached in(a, at);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      uint4 d_gate, d_up;
      d_weight[i] = backward_row(in, RowFactors(a, at, i), i, h[i], d_gate, d_up);
      scratch.gradient[0][i][threadIdx.x] = d_gate, scratch.gradient[1][i][threadIdx.x] = d_up;
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int step = 8; step > 0; step /= 2) d_weight[i] += __shfl_xor_sync(full_warp, d_weight[i], step);
    if (a.d_weight != nullptr && at.cg == i) a.d_weight_parts[at.col0 / 128 * a.rows + at.row(i)] = d_weight[i];
  }
  quantize_tile_columns(h, at, scratch.tile, a.h_q_t, a.h_scales_t, a.format);
  store_gradient(a, at, false, scratch);
  store_gradient(a, at, true, scratch);
}

/// Sums the column tiles' parts of each row in order.
__global__ void sum_parts(const float* parts, float* sums, std::int64_t rows, int tiles) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  float sum = 0;
#pragma unroll 8
  for (int t = 0; t < tiles; ++t) sum += parts[t * rows + row];
  sums[row] = sum;
}

}  // namespace

void swiglu(const SwiGluArgs& a, const Launch& launch) {
  const char* name = "swiglu";
  require(a.rows >= 0 && a.cols > 0 && a.cols % 128 == 0, name,
          "cols a positive multiple of 128, got " + std::to_string(a.cols));
  require(a.gate_up != nullptr && (a.h != nullptr || a.q != nullptr), name, "gate_up, and h or q to write");
  require(a.q == nullptr || (a.scales != nullptr && a.scale_stride >= a.rows), name,
          "scales and a scale_stride of at least rows beside q");
  require(aligned16(a.gate_up) && aligned16(a.h) && aligned16(a.q), name, "pointers aligned to 16 bytes");
  if (a.rows == 0) return;
  swiglu_band<<<BandPlace::blocks(a.rows, a.cols), 256, 0, launch.stream>>>(a, BandPlace::across(a.cols));
  check_launch(name);
}

void swiglu_backward(const SwiGluBackwardArgs& a, const Launch& launch) {
  const char* name = "swiglu_backward";
  require(a.rows >= 0 && a.rows % 128 == 0 && a.cols > 0 && a.cols % 128 == 0, name,
          "rows and cols multiples of 128, got " + std::to_string(a.rows) + " x " + std::to_string(a.cols));
  require(a.gate_up != nullptr && a.gate_up_scales != nullptr && a.d_h != nullptr, name, "gate_up, its scales and d_h");
  require(a.d_q != nullptr && a.d_scales != nullptr && a.d_q_t != nullptr && a.d_scales_t != nullptr, name,
          "both orientations of d_gate_up to write");
  require(a.h_q_t != nullptr && a.h_scales_t != nullptr, name, "h_q_t and h_scales_t to write");
  require(a.d_weight == nullptr || a.d_weight_parts != nullptr, name, "d_weight_parts beside d_weight");
  require(a.scale_stride >= a.rows, name, "scale_stride of at least rows, got " + std::to_string(a.scale_stride));
  if (a.rows == 0) return;
  const auto tiles = static_cast<unsigned>(a.cols / 128);
  constexpr int bytes = sizeof(BackwardScratch);
  cudaFuncSetAttribute(swiglu_backward_tile, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  swiglu_backward_tile<<<tiles* static_cast<unsigned>(a.rows / 128), 256, bytes, launch.stream>>>(a, tiles);
  check_launch(name);
  if (a.d_weight == nullptr) return;
  sum_parts<<<static_cast<unsigned>((a.rows + 255) / 256), 256, 0, launch.stream>>>(a.d_weight_parts, a.d_weight,
                                                                                    a.rows, static_cast<int>(tiles));
  check_launch(name);
}

}  // namespace railcast::kernels
