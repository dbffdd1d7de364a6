// Copy kernels: the ceiling of every memory-bound op, and the stand-in for communication beside a GEMM.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace railcast::kernels {

/// The whole GPU, one block per 16 KB. Sizes are multiples of 16.
void copy_all(void* to, const void* from, std::size_t bytes, cudaStream_t stream);
/// On `sms` SMs only: one CTA of 24 warps fills each, a warp copies a row of 7168 bytes at a time. Launched with the
/// given cluster size (sms a multiple of it). bytes is cut to whole rows.
void copy_on(void* to, const void* from, std::size_t bytes, int sms, int cluster, cudaStream_t stream);

/// What an endless copy did until it was told to stop.
struct CopyProgress {
  unsigned long long rows, first_ns, last_ns;
};
/// As copy_on over and over until *stop (device memory) is not 0, or 5 s have passed.
void copy_until(void* to, const void* from, std::size_t bytes, int sms, int cluster, const volatile int* stop,
                CopyProgress* progress, cudaStream_t stream);

inline constexpr std::size_t kCopyRow = 7168;

}  // namespace railcast::kernels
