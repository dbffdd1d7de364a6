#include "kernels/rms_norm.hpp"

#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

// ---- forward: a block a row, the row in registers
// --------------------------------------------------------------------
constexpr int kForwardThreads = 128;

template <int vectors>  // of 8 elements a thread
__global__ __launch_bounds__(kForwardThreads) void forward_row(const RmsNormArgs a) {
  __shared__ float scratch[kForwardThreads / 32];
  const std::int64_t row = blockIdx.x;
  const int count = static_cast<int>(a.cols / 8);
  uint4 v[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kForwardThreads + threadIdx.x;
    v[i] = at < count ? load16(a.x + row * a.cols + at * 8) : uint4{};
  }
  float squares = 0;
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    float x[8];
    unpack8(v[i], x);
#pragma unroll
    for (int k = 0; k < 8; ++k) squares += x[k] * x[k];
  }
  const float rstd = rsqrtf(block_sum(squares, scratch) / static_cast<float>(a.cols) + a.epsilon);
  if (threadIdx.x == 0 && a.rstd != nullptr) a.rstd[row] = rstd;
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kForwardThreads + threadIdx.x;
    float x[8], w[8];
    unpack8(v[i], x);
    unpack8(at < count ? __ldg(reinterpret_cast<const uint4*>(a.weight) + at) : uint4{}, w);
#pragma unroll
    for (int k = 0; k < 8; ++k) x[k] = x[k] * rstd * w[k];
    const uint4 y = pack8(x);
    if (a.y != nullptr && at < count) store16(a.y + row * a.cols + at * 8, y);
    if (a.q == nullptr) continue;
    const GroupScale s = group_scale(group_amax<16>(max_abs2(y)), a.format);
    unpack8(y, x);
    if (at < count) store8(a.q + row * a.cols + at * 8, pack8_e4m3(x, s.inverse));
    if (at < count && threadIdx.x % 16 == 0) a.scales[at / 16 * a.scale_stride + row] = s.scale;
  }
}

// ---- backward: persistent blocks, rows of x and d_y through a ring in shared memory
// -----------------------------------
constexpr int kBackwardThreads = 512, kMostStages = 8;
constexpr std::int64_t kRingBytes = 200 * 1024;

/// Of eight columns of a row: their part of the sum of d_y * weight * x.
__device__ __forceinline__ void add_dot(uint4 x, uint4 d, uint4 w, float& dot) {
  float xf[8], df[8], wf[8];
  unpack8(x, xf), unpack8(d, df), unpack8(w, wf);
#pragma unroll
  for (int k = 0; k < 8; ++k) dot += df[k] * wf[k] * xf[k];
}
/// Their d_x; their part of d_weight is added. `pull`: rstd^2 times the mean of that sum.
__device__ __forceinline__ uint4 gradients(uint4 x, uint4 d, uint4 w, float rstd, float pull, float (&d_w)[8]) {
  float xf[8], df[8], wf[8];
  unpack8(x, xf), unpack8(d, df), unpack8(w, wf);
#pragma unroll
  for (int k = 0; k < 8; ++k) {
    d_w[k] += df[k] * (xf[k] * rstd);
    xf[k] = rstd * (df[k] * wf[k] - xf[k] * pull);
  }
  return pack8(xf);
}
__device__ __forceinline__ void store_sums(float* to, const float (&d_w)[8]) {
  reinterpret_cast<float4*>(to)[0] = {d_w[0], d_w[1], d_w[2], d_w[3]};
  reinterpret_cast<float4*>(to)[1] = {d_w[4], d_w[5], d_w[6], d_w[7]};
}

struct RowRing {
  Barrier full[kMostStages];
  float scratch[2][kBackwardThreads / 32];
};

__device__ __forceinline__ void fetch(const RmsNormBackwardArgs& a, unsigned char* stage, Barrier& full,
                                      std::int64_t row) {
  const auto bytes = static_cast<std::uint32_t>(a.cols * 2);
  full.expect(2 * bytes);
  bulk_load(stage, a.x + row * a.cols, bytes, full);
  bulk_load(stage + bytes, a.d_y + row * a.cols, bytes, full);
}

/// One row: d_x written, this thread's columns of d_weight accumulated. Holds one barrier, after which nobody reads
/// the stage any more; `release` runs behind it.
template <int vectors, typename Release>
__device__ __forceinline__ void backward_row(const RmsNormBackwardArgs& a, const uint4* x_row, const uint4* d_row,
                                             std::int64_t row, const uint4 (&w)[vectors], float (&d_w)[vectors][8],
                                             float* scratch, Release release) {
  const int count = static_cast<int>(a.cols / 8);
  const float rstd = a.rstd[row];
  uint4 x[vectors], d[vectors];
  float dot = 0;
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kBackwardThreads + threadIdx.x;
    x[i] = at < count ? x_row[at] : uint4{};
    d[i] = at < count ? d_row[at] : uint4{};
    add_dot(x[i], d[i], w[i], dot);
  }
  const float pull = block_sum(dot, scratch) / static_cast<float>(a.cols) * rstd * rstd;
  release();
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kBackwardThreads + threadIdx.x;
    const uint4 d_x = gradients(x[i], d[i], w[i], rstd, pull, d_w[i]);
    if (at < count) store16(a.d_x + row * a.cols + at * 8, d_x);
  }
}

template <int vectors>
__global__ __launch_bounds__(kBackwardThreads, 1) void backward_rows(const RmsNormBackwardArgs a, int stage_count) {
  extern __shared__ __align__(128) unsigned char stages[];
  __shared__ RowRing ring;
  const std::int64_t stage_bytes = a.cols * 4;
  if (threadIdx.x == 0) {
    for (int s = 0; s < stage_count; ++s) ring.full[s].init(1);
    barrier_init_fence();
    for (int s = 0; s < stage_count; ++s) {
      const std::int64_t row = blockIdx.x + static_cast<std::int64_t>(s) * gridDim.x;
      if (row < a.rows) fetch(a, stages + s * stage_bytes, ring.full[s], row);
    }
  }
  const int count = static_cast<int>(a.cols / 8);
  uint4 w[vectors];
  float d_w[vectors][8] = {};
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kBackwardThreads + threadIdx.x;
    w[i] = at < count ? __ldg(reinterpret_cast<const uint4*>(a.weight) + at) : uint4{};
  }
  __syncthreads();
  int stage = 0, turn = 0;
  std::uint32_t phase = 0;
  for (std::int64_t row = blockIdx.x; row < a.rows; row += gridDim.x, turn ^= 1) {
    unsigned char* at = stages + stage * stage_bytes;
    ring.full[stage].wait(phase);
    const std::int64_t next = row + static_cast<std::int64_t>(stage_count) * gridDim.x;
    backward_row<vectors>(a, reinterpret_cast<uint4*>(at), reinterpret_cast<uint4*>(at + a.cols * 2), row, w, d_w,
                          ring.scratch[turn], [&] {
                            if (threadIdx.x == 0 && next < a.rows) fetch(a, at, ring.full[stage], next);
                          });
    if (++stage == stage_count) stage = 0, phase ^= 1;
  }
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kBackwardThreads + threadIdx.x;
    if (at < count) store_sums(a.d_weight_parts + blockIdx.x * a.cols + at * 8, d_w[i]);
  }
}

// ---- backward of rows of up to 1536 columns: a warp a row, so that no row waits for a block's barrier ----

constexpr std::int64_t kNarrowVectors = 6;

/// The warps' sums in their order, to this block's part. `sums`: [warps, cols].
__device__ void store_part(const RmsNormBackwardArgs& a, const float* sums, int warps) {
  __syncthreads();
  for (int col = threadIdx.x; col < a.cols; col += blockDim.x) {
    float sum = 0;
    for (int w = 0; w < warps; ++w) sum += sums[w * a.cols + col];
    a.d_weight_parts[blockIdx.x * a.cols + col] = sum;
  }
}

template <int vectors, int warps>
__global__ __launch_bounds__(warps * 32, 1) void backward_narrow_rows(const RmsNormBackwardArgs a) {
  extern __shared__ __align__(16) float sums[];
  const int count = static_cast<int>(a.cols / 8), lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float d_w[vectors][8] = {};
  for (std::int64_t row = std::int64_t{blockIdx.x} * warps + warp; row < a.rows;
       row += std::int64_t{gridDim.x} * warps) {
    const float rstd = a.rstd[row];
    uint4 x[vectors], d[vectors];
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int at = i * 32 + lane;
      x[i] = at < count ? load16(a.x + row * a.cols + at * 8) : uint4{};
      d[i] = at < count ? load16(a.d_y + row * a.cols + at * 8) : uint4{};
    }
    const auto weight = [&](int at) {
      return at < count ? __ldg(reinterpret_cast<const uint4*>(a.weight) + at) : uint4{};
    };
    float dot = 0;
#pragma unroll
    for (int i = 0; i < vectors; ++i) add_dot(x[i], d[i], weight(i * 32 + lane), dot);
    const float pull = warp_sum(dot) / static_cast<float>(a.cols) * rstd * rstd;
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int at = i * 32 + lane;
      const uint4 d_x = gradients(x[i], d[i], weight(at), rstd, pull, d_w[i]);
      if (at < count) store16(a.d_x + row * a.cols + at * 8, d_x);
    }
  }
#pragma unroll
  for (int i = 0; i < vectors; ++i)
    if (i * 32 + lane < count) store_sums(sums + warp * a.cols + (i * 32 + lane) * 8, d_w[i]);
  store_part(a, sums, warps);
}

/// 32 columns a block; eight strips of parts, then the strips in order.
__global__ __launch_bounds__(256) void sum_columns(const float* parts, float* sums, int count, std::int64_t cols) {
  __shared__ float strip[8][32];
  const int lane = threadIdx.x % 32, y = threadIdx.x / 32;
  const std::int64_t col = static_cast<std::int64_t>(blockIdx.x) * 32 + lane;
  float sum = 0;
  if (col < cols) {
#pragma unroll 4
    for (int p = y; p < count; p += 8) sum += parts[p * cols + col];
  }
  strip[y][lane] = sum;
  __syncthreads();
  if (y != 0 || col >= cols) return;
  for (int s = 1; s < 8; ++s) sum += strip[s][lane];
  sums[col] = sum;
}

void check_shape(const char* name, std::int64_t rows, std::int64_t cols) {
  require(rows >= 0, name, "rows of at least 0, got " + std::to_string(rows));
  require(cols > 0 && cols % 8 == 0 && cols <= 16384, name,
          "cols a multiple of 8 up to 16384, got " + std::to_string(cols));
}

template <int vectors>
void launch_backward(const RmsNormBackwardArgs& a, const Launch& launch) {
  const int stages = static_cast<int>(std::min<std::int64_t>(kMostStages, kRingBytes / (a.cols * 4)));
  const int bytes = static_cast<int>(a.cols * 4) * stages;
  cudaFuncSetAttribute(backward_rows<vectors>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  backward_rows<vectors>
      <<<static_cast<unsigned>(a.parts), kBackwardThreads, static_cast<unsigned>(bytes), launch.stream>>>(a, stages);
}

template <int vectors, int warps>
void launch_narrow_backward(const RmsNormBackwardArgs& a, const Launch& launch) {
  const auto bytes = static_cast<int>(a.cols * 4 * warps);
  cudaFuncSetAttribute(backward_narrow_rows<vectors, warps>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  backward_narrow_rows<vectors, warps>
      <<<static_cast<unsigned>(a.parts), warps * 32, static_cast<unsigned>(bytes), launch.stream>>>(a);
}

}  // namespace

void rms_norm(const RmsNormArgs& a, const Launch& launch) {
  check_shape("rms_norm", a.rows, a.cols);
  require(a.x != nullptr && a.weight != nullptr && (a.y != nullptr || a.q != nullptr), "rms_norm",
          "x, weight, and y or q to write");
  require(a.q == nullptr || (a.cols % 128 == 0 && a.scales != nullptr && a.scale_stride >= a.rows), "rms_norm",
          "with q: cols a multiple of 128, scales and a scale_stride of at least rows");
  require(aligned16(a.x) && aligned16(a.y) && aligned16(a.q) && aligned16(a.weight), "rms_norm",
          "pointers aligned to 16 bytes");
  if (a.rows == 0) return;
  const auto blocks = static_cast<unsigned>(a.rows);
  const std::int64_t vectors = (a.cols / 8 + kForwardThreads - 1) / kForwardThreads;
  if (vectors <= 2)
    forward_row<2><<<blocks, kForwardThreads, 0, launch.stream>>>(a);
  else if (vectors <= 4)
    forward_row<4><<<blocks, kForwardThreads, 0, launch.stream>>>(a);
  else if (vectors <= 7)
    forward_row<7><<<blocks, kForwardThreads, 0, launch.stream>>>(a);
  else
    forward_row<16><<<blocks, kForwardThreads, 0, launch.stream>>>(a);
  check_launch("rms_norm");
}

void rms_norm_backward(const RmsNormBackwardArgs& a, const Launch& launch) {
  const char* name = "rms_norm_backward";
  check_shape(name, a.rows, a.cols);
  require(a.x && a.weight && a.rstd && a.d_y && a.d_x && a.d_weight && a.d_weight_parts, name, "every pointer given");
  require(a.parts > 0, name, "parts of at least 1, got " + std::to_string(a.parts));
  require(aligned16(a.x) && aligned16(a.d_y) && aligned16(a.d_x) && aligned16(a.weight) && aligned16(a.d_weight_parts),
          name, "pointers aligned to 16 bytes");
  const std::int64_t vectors = (a.cols / 8 + kBackwardThreads - 1) / kBackwardThreads;
  if (a.cols <= 512)
    launch_narrow_backward<2, 32>(a, launch);
  else if (a.cols <= kNarrowVectors * 256)
    launch_narrow_backward<kNarrowVectors, 16>(a, launch);
  else if (vectors <= 1)
    launch_backward<1>(a, launch);
  else if (vectors <= 2)
    launch_backward<2>(a, launch);
  else
    launch_backward<4>(a, launch);
  check_launch(name);
  sum_columns<<<static_cast<unsigned>((a.cols + 31) / 32), 256, 0, launch.stream>>>(a.d_weight_parts, a.d_weight,
                                                                                    a.parts, a.cols);
  check_launch(name);
}

}  // namespace railcast::kernels
