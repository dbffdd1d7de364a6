// Waiting and telling between ranks, and the table of first rows.
#pragma once
#include "kernels/device.cuh"
#include "kernels/exchange.hpp"
#include "kernels/vector.cuh"

namespace railcast::kernels::device {

__device__ __forceinline__ unsigned long long load_acquire(const unsigned long long* p) {
  unsigned long long v;
  asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
__device__ __forceinline__ void store_release(unsigned long long* p, unsigned long long v) {
  asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory");
}
__device__ __forceinline__ void add_release(unsigned long long* p, unsigned long long v) {
  asm volatile("red.release.sys.global.add.u64 [%0], %1;" ::"l"(p), "l"(v) : "memory");
}

__device__ __forceinline__ unsigned long long nanoseconds() {
  unsigned long long t;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t));
  return t;
}

/// Until *flag is at least `value`; false after `timeout` ns, with the rank left in *late.
__device__ inline bool wait_for(const unsigned long long* flag, unsigned long long value, int rank, int* late,
                                unsigned long long timeout) {
  if (load_acquire(flag) >= value) return true;
  const unsigned long long start = nanoseconds();
  while (load_acquire(flag) < value) {
    if (nanoseconds() - start < timeout) continue;
    atomicCAS(late, 0, rank + 1);
    return false;
  }
  return true;
}

__device__ __forceinline__ ExchangeSync* sync_of(const Peers& peers, int rank) {
  return reinterpret_cast<ExchangeSync*>(peers.window[rank]);
}
__device__ __forceinline__ int count_at(const ExchangeSync* own, int from, int to) {
  return __ldcg(&own->counts[own->epoch % 2][from][to]);
}

/// Every pair of a rank served here and any rank, dealt to the block's threads: wait(own rank, other). The same for all
/// threads of the block; false: some rank is late.
template <typename Wait>
__device__ bool wait_for_all(const Peers& peers, int ranks, Wait wait) {
  bool here = true;
  for (int i = threadIdx.x; i < peers.local * ranks; i += blockDim.x)
    here = wait(peers.first + i / ranks, i % ranks) && here;
  return __syncthreads_and(here) != 0;
}

/// base[l * ranks + d]: the row of rank d where the tokens of rank first + l begin. Ends in a barrier.
__device__ inline void fill_bases(const Peers& peers, int ranks, int* base) {
  for (int i = threadIdx.x; i < peers.local * ranks; i += blockDim.x) {
    const int rank = peers.first + i / ranks;
    const ExchangeSync* own = sync_of(peers, rank);
    const auto counts = own->counts[own->epoch % 2];
    int rows = 0;
#pragma unroll 8
    for (int from = 0; from < rank; ++from) rows += __ldcg(&counts[from][i % ranks]);
    base[i] = rows;
  }
  __syncthreads();
}

}  // namespace railcast::kernels::device

namespace railcast::kernels {

/// `sms` blocks of one an SM, in clusters of two where the number is even: beside a clustered GEMM single blocks would
/// leave SMs that no cluster fits on.
template <typename Args>
void launch_on_sms(void (*kernel)(Args), const Args& args, int sms, int threads, int shared, cudaStream_t stream,
                   const char* name) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = sms % 2 == 0 ? 2 : 1;
  attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(sms)), config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared), config.stream = stream;
  config.attrs = &attribute, config.numAttrs = 1;
  const cudaError_t status = cudaLaunchKernelEx(&config, kernel, args);
  if (status != cudaSuccess)
    throw KernelError(Fault::launch, std::string(name) + ": launch failed: " + cudaGetErrorString(status));
}

}  // namespace railcast::kernels
