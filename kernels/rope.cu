#include "kernels/rope.hpp"

#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

__device__ __forceinline__ void load8_floats(const float* from, float (&to)[8]) {
  const float4 a = __ldg(reinterpret_cast<const float4*>(from)), b = __ldg(reinterpret_cast<const float4*>(from) + 1);
  to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w, to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
}

/// Eight pairs a thread: 16 neighbouring elements, or eight of either half.
__global__ __launch_bounds__(256) void rotate(const RopeArgs a, std::int64_t threads, int per_row) {
  const std::int64_t id = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (id >= threads) return;
  const std::int64_t row = id / per_row, pair = id % per_row * 8, half = a.cols / 2;
  Bf16* first = a.x + row * a.row_stride + (a.interleaved ? 2 * pair : pair);
  Bf16* second = first + (a.interleaved ? 8 : half);
  float u[8], v[8], c[8], s[8];
  unpack8(*reinterpret_cast<const uint4*>(first), u);
  unpack8(*reinterpret_cast<const uint4*>(second), v);
  const std::int64_t angle = row / a.rows_per_position * half + pair;
  load8_floats(a.cosine + angle, c), load8_floats(a.sine + angle, s);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    // interleaved: pair i lies at elements 2i and 2i+1 of u then v; else at u[i] and v[i]
    float& x = !a.interleaved ? u[i] : i < 4 ? u[2 * i] : v[2 * i - 8];
    float& y = !a.interleaved ? v[i] : i < 4 ? u[2 * i + 1] : v[2 * i - 7];
    const float sine = a.inverse ? -s[i] : s[i], rotated = x * c[i] - y * sine;
    y = x * sine + y * c[i];
    x = rotated;
  }
  *reinterpret_cast<uint4*>(first) = pack8(u);
  *reinterpret_cast<uint4*>(second) = pack8(v);
}

}  // namespace

void rope(const RopeArgs& a, const Launch& launch) {
  require(a.rows >= 0 && a.cols > 0 && a.cols % 16 == 0, "rope",
          "cols a positive multiple of 16, got " + std::to_string(a.cols));
  require(a.row_stride >= a.cols && a.row_stride % 8 == 0, "rope",
          "row_stride a multiple of 8, at least cols, got " + std::to_string(a.row_stride));
  require(a.rows_per_position > 0, "rope", "rows_per_position of at least 1");
  require(a.x != nullptr && a.cosine != nullptr && a.sine != nullptr, "rope", "x, cosine and sine");
  require(aligned16(a.x) && aligned16(a.cosine) && aligned16(a.sine), "rope", "pointers aligned to 16 bytes");
  if (a.rows == 0) return;
  const std::int64_t threads = a.rows * (a.cols / 16);
  rotate<<<static_cast<unsigned>((threads + 255) / 256), 256, 0, launch.stream>>>(a, threads,
                                                                                  static_cast<int>(a.cols / 16));
  check_launch("rope");
}

}  // namespace railcast::kernels
