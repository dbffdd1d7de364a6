#include "kernels/gemm_check.hpp"

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <cmath>
#include <limits>

#include "kernels/device_array.hpp"
#include "kernels/hash.cuh"

namespace railcast::kernels {
namespace {

constexpr std::uint32_t kStartSeed = 77;

/// Sums over the compared elements; written counts disagreements.
struct Totals {
  double error, norm, worst, top;
  unsigned long long unwritten;
};

__device__ int group_of(const GemmCheck& p, std::int64_t row) {
  if (p.block_group != nullptr) return p.used_rows >= 0 && row >= p.used_rows ? -1 : p.block_group[row / 128];
  if (p.valid_rows == nullptr) return 0;
  const auto group = static_cast<int>(row / p.group_rows);
  return row % p.group_rows < p.valid_rows[group] ? group : -1;
}

__device__ double value(std::uint8_t code) {
  __nv_fp8_e4m3 x;
  x.__x = code;
  return static_cast<double>(static_cast<float>(x));
}

__device__ double value(std::uint16_t bits) { return static_cast<double>(__uint_as_float(std::uint32_t{bits} << 16)); }

/// Four products from element `at` on. Four is 4 bytes of E4M3 or 8 of BF16.
template <typename Four>
__device__ double dot4(const std::uint8_t* a, const std::uint8_t* b, std::int64_t at) {
  const Four x = reinterpret_cast<const Four*>(a)[at / 4], y = reinterpret_cast<const Four*>(b)[at / 4];
  return value(x.x) * value(y.x) + value(x.y) * value(y.y) + value(x.z) * value(y.z) + value(x.w) * value(y.w);
}

/// This lane's part of the dot product of row `row` of A and row `column` of the group's B.
__device__ double partial_dot(const GemmCheck& p, std::int64_t row, std::int64_t column, int group, int lane) {
  const std::int64_t k_blocks = (p.k + 127) / 128, b_blocks = (p.n + 127) / 128;
  const bool masked = p.valid_rows != nullptr;
  const float* a_scales = p.a_scales + (masked ? group * k_blocks * p.a_stride + row % p.group_rows : row);
  const std::int64_t width = p.bf16 ? 2 : 1;
  const std::uint8_t* a = p.a + width * row * p.k;
  const std::uint8_t* b = p.b + width * (group * p.n + column) * p.k;
  double sum = 0;
  for (std::int64_t k = p.k_begin + lane * 4; k < (p.k_end < 0 ? p.k : p.k_end); k += 128) {
    const std::int64_t block = k / 128;
    const float b_scale = p.b_stride > 0 ? p.b_scales[block * p.b_stride + column]
                                         : p.b_scales[(group * b_blocks + column / 128) * k_blocks + block];
    const double dot = p.bf16 ? dot4<ushort4>(a, b, k) : dot4<uchar4>(a, b, k);
    sum += dot * static_cast<double>(a_scales[block * p.a_stride]) * static_cast<double>(b_scale);
  }
  return sum;
}

__device__ double start_value(std::int64_t i) { return unit(kStartSeed, i) - 0.5F; }

/// Non-negative doubles order as their bits do.
__device__ void atomic_max(double* to, double x) {
  atomicMax(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(__double_as_longlong(x)));
}

__global__ void compare(GemmCheck p, int cell, Totals* totals) {
  const int lane = threadIdx.x % 32;
  const std::int64_t columns = (p.n + cell - 1) / cell, rows = (p.rows + cell - 1) / cell;
  const std::int64_t stride = std::int64_t{gridDim.x} * (blockDim.x / 32);
  for (std::int64_t i = (blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x) / 32; i < rows * columns; i += stride) {
    const std::uint32_t place = hash(5, i);
    const std::int64_t row = min(i / columns * cell + place % cell, p.rows - 1);
    const std::int64_t column = min(i % columns * cell + place / 65536 % cell, p.n - 1);
    const int group = group_of(p, row);
    if (group < 0) continue;
    double sum = partial_dot(p, row, column, group, lane);
    for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(~0U, sum, other);
    if (lane != 0) continue;
    const std::int64_t at = (p.group * p.rows + row) * p.n + column;
    const double got = p.fp32 ? static_cast<double>(static_cast<const float*>(p.d)[at]) - start_value(at)
                              : static_cast<double>(__bfloat162float(static_cast<const __nv_bfloat16*>(p.d)[at]));
    if (!isfinite(sum)) {  // NaN or an infinity, and so must D be
      if (isfinite(got)) atomicAdd(&totals->error, INFINITY);
      continue;
    }
    const double error = fabs(got - sum);
    atomicAdd(&totals->error, error * error), atomicAdd(&totals->norm, sum * sum);
    atomic_max(&totals->worst, isnan(error) ? INFINITY : error), atomic_max(&totals->top, fabs(sum));
  }
}

/// Poison that is left where it should not be, or gone where it should be left. A gradient that still has exactly its
/// start value was not added to, unless little was to be added: of few products whose sum is small beside them, the
/// tensor cores (13 bits below the largest) often keep nothing. `compared`: elements that totals->norm is of.
__global__ void find_unwritten(GemmCheck p, double compared, Totals* totals) {
  const double typical = sqrt(totals->norm / compared);
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = blockIdx.x * std::int64_t{blockDim.x} + threadIdx.x; i < p.rows * p.n; i += stride) {
    const std::int64_t at = p.group * p.rows * p.n + i;
    const bool untouched = p.fp32 ? static_cast<double>(static_cast<const float*>(p.d)[at]) == start_value(at)
                                  : static_cast<const std::uint16_t*>(p.d)[i] == 0xffff;
    bool expected = p.fp32 ? p.k_begin != p.k_end : group_of(p, i / p.n) >= 0;
    if (p.fp32 && untouched && expected) {
      double sum = 0;
      for (int lane = 0; lane < 32; ++lane) sum += partial_dot(p, i / p.n, i % p.n, 0, lane);
      expected = fabs(sum) > typical / 256;
    }
    if (untouched == expected) atomicAdd(&totals->unwritten, 1ULL);
  }
}

__global__ void start(float* d, std::size_t count) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    d[i] = static_cast<float>(start_value(static_cast<std::int64_t>(i)));
}

}  // namespace

void fill_start(float* d, std::size_t count, cudaStream_t stream) {
  start<<<1056, 256, 0, stream>>>(d, count);
  throw_unless(cudaGetLastError(), "filling the gradient");
}

void poison(void* d, std::size_t bytes, cudaStream_t stream) {
  if (bytes > 0) throw_unless(cudaMemsetAsync(d, 0xff, bytes, stream), "poisoning an output");
}

Difference check_gemm(const GemmCheck& problem, cudaStream_t stream) {
  const DeviceArray<Totals> totals(std::vector<Totals>(1));
  const int cell = problem.rows * problem.n <= (1 << 22) ? 1 : 16;
  throw_unless(cudaStreamSynchronize(stream), "running a GEMM");
  compare<<<2112, 256, 0, stream>>>(problem, cell, totals.get());
  const double compared =
      std::ceil(static_cast<double>(problem.rows) / cell) * std::ceil(static_cast<double>(problem.n) / cell);
  find_unwritten<<<1056, 256, 0, stream>>>(problem, compared, totals.get());
  throw_unless(cudaGetLastError(), "launching the reference");
  throw_unless(cudaStreamSynchronize(stream), "running the reference");
  const Totals t = totals.host()[0];
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (t.unwritten > 0) return {kInfinity, kInfinity};
  if (t.norm == 0) return {std::sqrt(t.error), t.worst};
  return {std::sqrt(t.error / t.norm), t.worst / t.top};
}

}  // namespace railcast::kernels
