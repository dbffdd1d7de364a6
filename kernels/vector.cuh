// What the memory-bound kernels share: 16-byte accesses, packed BF16 arithmetic, warp reductions, launch checks.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <string>

#include "kernels/error.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels::device {

constexpr unsigned full_warp = 0xFFFFFFFFu;

/// Read once: kept out of L1.
__device__ __forceinline__ uint4 load16(const void* p) {
  uint4 v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
__device__ __forceinline__ void store16(void* p, uint4 v) { __stcs(static_cast<uint4*>(p), v); }
__device__ __forceinline__ void store8(void* p, uint2 v) { __stcs(static_cast<uint2*>(p), v); }

/// Two BF16 in a word, the lower half first.
__device__ __forceinline__ float low(std::uint32_t w) { return __uint_as_float(w << 16); }
__device__ __forceinline__ float high(std::uint32_t w) { return __uint_as_float(w & 0xFFFF0000u); }
__device__ __forceinline__ std::uint32_t pack_bf16(float lo, float hi) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(lo, hi);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
/// The larger magnitude of each half; its sign means nothing (one instruction that way).
__device__ __forceinline__ std::uint32_t max_abs2(std::uint32_t a, std::uint32_t b) {
  std::uint32_t r;
  asm("max.xorsign.abs.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}
__device__ __forceinline__ std::uint32_t max_abs2(uint4 v) { return max_abs2(max_abs2(v.x, v.y), max_abs2(v.z, v.w)); }
__device__ __forceinline__ float max_of_halves(std::uint32_t w) { return fmaxf(fabsf(low(w)), fabsf(high(w))); }

__device__ __forceinline__ void unpack8(uint4 v, float (&x)[8]) {
  x[0] = low(v.x), x[1] = high(v.x), x[2] = low(v.y), x[3] = high(v.y);
  x[4] = low(v.z), x[5] = high(v.z), x[6] = low(v.w), x[7] = high(v.w);
}
__device__ __forceinline__ uint4 pack8(const float (&x)[8]) {
  return {pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7])};
}

/// Four floats to four E4M3 codes, rounded to nearest even and saturated; `a` in the lowest byte.
__device__ __forceinline__ std::uint32_t pack_e4m3(float a, float b, float c, float d) {
  const std::uint32_t lo = __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, __NV_E4M3);
  const std::uint32_t hi = __nv_cvt_float2_to_fp8x2(make_float2(c, d), __NV_SATFINITE, __NV_E4M3);
  return lo | (hi << 16);
}
__device__ __forceinline__ uint2 pack8_e4m3(const float (&x)[8], float by) {
  return {pack_e4m3(x[0] * by, x[1] * by, x[2] * by, x[3] * by), pack_e4m3(x[4] * by, x[5] * by, x[6] * by, x[7] * by)};
}
/// Eight E4M3 codes to floats (exact: every E4M3 value is a half).
__device__ __forceinline__ void unpack8_e4m3(uint2 v, float (&x)[8]) {
  const std::uint32_t words[2] = {v.x, v.y};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto pair = static_cast<__nv_fp8x2_storage_t>(words[i / 2] >> (16 * (i % 2)));
    const __half2_raw h = __nv_cvt_fp8x2_to_halfraw2(pair, __NV_E4M3);
    const float2 f = __half22float2(*reinterpret_cast<const __half2*>(&h));
    x[2 * i] = f.x, x[2 * i + 1] = f.y;
  }
}

/// Largest magnitude over the `width` neighbouring lanes (a power of two) of packed BF16 pairs.
template <int width>
__device__ __forceinline__ float group_amax(std::uint32_t pair) {
#pragma unroll
  for (int step = width / 2; step > 0; step /= 2) pair = max_abs2(pair, __shfl_xor_sync(full_warp, pair, step));
  return max_of_halves(pair);
}
template <int width>
__device__ __forceinline__ float group_amax(float x) {
#pragma unroll
  for (int step = width / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(full_warp, x, step));
  return x;
}
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(full_warp, x, step);
  return x;
}
/// Sum over the block in a fixed order; every thread gets it. `scratch` holds one float a warp; the caller keeps two
/// calls in a row on different scratch.
__device__ __forceinline__ float block_sum(float x, float* scratch) {
  const int warps = blockDim.x / 32;
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < warps; ++w) sum += scratch[w];
  return sum;
}

}  // namespace railcast::kernels::device

namespace railcast::kernels {

inline void check_launch(const char* kernel) {
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    throw KernelError(Fault::launch, std::string(kernel) + ": launch failed: " + cudaGetErrorString(error));
}
/// Refuses what a kernel cannot do, naming the argument, what was expected and what was given.
inline void require(bool holds, const char* kernel, const std::string& expected) {
  if (!holds) throw KernelError(Fault::argument, std::string(kernel) + ": expected " + expected);
}
inline bool aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

}  // namespace railcast::kernels
