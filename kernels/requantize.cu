#include "kernels/requantize.hpp"

#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 256, kSide = 128, kPitch = kSide + 16;

struct Tile {
  alignas(16) E4m3 code[kSide][kPitch];
  float scale[kSide];
  float amax[2][kSide];
};

/// Rows first .. first + 7 of a column as floats.
__device__ __forceinline__ void column8(const Tile& t, int first, int column, float (&x)[8]) {
  uint2 packed{};
#pragma unroll
  for (int i = 0; i < 4; ++i) packed.x |= static_cast<std::uint32_t>(t.code[first + i][column]) << (8 * i);
#pragma unroll
  for (int i = 0; i < 4; ++i) packed.y |= static_cast<std::uint32_t>(t.code[first + 4 + i][column]) << (8 * i);
  unpack8_e4m3(packed, x);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] *= t.scale[first + i];
}

/// A 128x128 tile a block; a thread has half a column.
__global__ __launch_bounds__(kThreads) void turn(const RequantizeArgs a) {
  __shared__ Tile t;
  const std::int64_t row0 = blockIdx.y * std::int64_t{kSide}, col0 = blockIdx.x * std::int64_t{kSide};
  for (int i = threadIdx.x; i < kSide * kSide / 16; i += kThreads)
    *reinterpret_cast<uint4*>(&t.code[i / 8][i % 8 * 16]) = load16(a.q + (row0 + i / 8) * a.cols + col0 + i % 8 * 16);
  if (threadIdx.x < kSide) t.scale[threadIdx.x] = a.scales[blockIdx.x * a.scale_stride + row0 + threadIdx.x];
  __syncthreads();
  const int column = threadIdx.x % kSide, half = threadIdx.x / kSide;
  float amax = 0;
  for (int r = half * 64; r < half * 64 + 64; r += 8) {
    float x[8];
    column8(t, r, column, x);
#pragma unroll
    for (int i = 0; i < 8; ++i) amax = fmaxf(amax, fabsf(x[i]));
  }
  t.amax[half][column] = amax;
  __syncthreads();
  const GroupScale scale = group_scale(fmaxf(t.amax[0][column], t.amax[1][column]), a.format);
  if (half == 0) a.scales_t[blockIdx.y * a.cols + col0 + column] = scale.scale;
  for (int r = half * 64; r < half * 64 + 64; r += 16) {
    float low8[8], high8[8];
    column8(t, r, column, low8), column8(t, r + 8, column, high8);
    const uint2 low = pack8_e4m3(low8, scale.inverse), high = pack8_e4m3(high8, scale.inverse);
    store16(a.q_t + (col0 + column) * a.rows + row0 + r, {low.x, low.y, high.x, high.y});
  }
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
  const dim3 grid(static_cast<unsigned>(a.cols / kSide), static_cast<unsigned>(a.rows / kSide));
  turn<<<grid, kThreads, 0, launch.stream>>>(a);
  check_launch(name);
}

}  // namespace railcast::kernels
