#include "kernels/copy.hpp"

#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

constexpr int kThreads = 256, kUnroll = 4, kWarps = 24;
constexpr int kWholeSm = 180 * 1024;  // shared memory that keeps a second CTA off the SM

__device__ int4 load_once(const int4* from) {
  int4 v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.s32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(from));
  return v;
}
__device__ void store_once(int4* to, int4 v) {
  asm volatile("st.global.L1::no_allocate.v4.s32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z),
               "r"(v.w)
               : "memory");
}

__global__ void copy_tiles(int4* to, const int4* from, std::size_t count) {
  const std::size_t first = std::size_t{blockIdx.x} * kThreads * kUnroll + threadIdx.x;
  int4 v[kUnroll];
#pragma unroll
  for (int i = 0; i < kUnroll; ++i)
    if (first + i * kThreads < count) v[i] = load_once(from + first + i * kThreads);
#pragma unroll
  for (int i = 0; i < kUnroll; ++i)
    if (first + i * kThreads < count) store_once(to + first + i * kThreads, v[i]);
}

/// 7168 bytes are 448 pieces of 16: 14 per lane, 7 in flight.
__device__ void copy_row(int4* to, const int4* from, std::size_t row) {
  const int lane = threadIdx.x % 32;
  to += row * (kCopyRow / 16) + lane, from += row * (kCopyRow / 16) + lane;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    int4 v[7];
#pragma unroll
    for (int i = 0; i < 7; ++i) v[i] = load_once(from + (half * 7 + i) * 32);
#pragma unroll
    for (int i = 0; i < 7; ++i) store_once(to + (half * 7 + i) * 32, v[i]);
  }
}

__global__ __launch_bounds__(kWarps * 32, 1) void copy_rows(int4* to, const int4* from, std::size_t rows) {
  for (std::size_t row = blockIdx.x * kWarps + threadIdx.x / 32; row < rows; row += std::size_t{gridDim.x} * kWarps)
    copy_row(to, from, row);
}

__device__ unsigned long long now_ns() {
  unsigned long long t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}

__global__ __launch_bounds__(kWarps * 32, 1) void copy_rows_until(int4* to, const int4* from, std::size_t rows,
                                                                  const volatile int* stop, CopyProgress* progress) {
  const unsigned long long start = now_ns();
  unsigned long long done = 0;
  std::size_t row = blockIdx.x * kWarps + threadIdx.x / 32;
  for (; *stop == 0 && now_ns() - start < 5'000'000'000ULL; ++done) {
    for (int i = 0; i < 16; ++i) {
      copy_row(to, from, row);
      row = (row + std::size_t{gridDim.x} * kWarps) % rows;
    }
  }
  if (threadIdx.x % 32 != 0) return;
  atomicAdd(&progress->rows, 16 * done);
  atomicMin(&progress->first_ns, start), atomicMax(&progress->last_ns, now_ns());
}

template <typename... Params, typename... Args>
void launch_rows(void (*kernel)(Params...), int sms, int cluster, cudaStream_t stream, Args... args) {
  throw_unless(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kWholeSm), "shared memory");
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(sms)), config.blockDim = dim3(kWarps * 32);
  config.dynamicSmemBytes = kWholeSm, config.stream = stream;
  config.attrs = &attribute, config.numAttrs = 1;
  throw_unless(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "launching a copy");
}

}  // namespace

void copy_all(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  const std::size_t count = bytes / 16, per_block = kThreads * kUnroll;
  copy_tiles<<<static_cast<unsigned>((count + per_block - 1) / per_block), kThreads, 0, stream>>>(
      static_cast<int4*>(to), static_cast<const int4*>(from), count);
  throw_unless(cudaGetLastError(), "launching a copy");
}

void copy_on(void* to, const void* from, std::size_t bytes, int sms, int cluster, cudaStream_t stream) {
  launch_rows(copy_rows, sms, cluster, stream, static_cast<int4*>(to), static_cast<const int4*>(from),
              bytes / kCopyRow);
}

void copy_until(void* to, const void* from, std::size_t bytes, int sms, int cluster, const volatile int* stop,
                CopyProgress* progress, cudaStream_t stream) {
  launch_rows(copy_rows_until, sms, cluster, stream, static_cast<int4*>(to), static_cast<const int4*>(from),
              bytes / kCopyRow, stop, progress);
}

}  // namespace railcast::kernels
