// What the hardware can do at best: tensor-pipe rate with the operands resident in shared memory.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

namespace railcast::kernels {

enum class Promotion { none, weights, tokens };

/// Every SM multiplies two bands of 64 x 128 per warpgroup and 128-deep step, `steps` times; nothing is loaded.
/// codes: 48 KB of E4M3, A [256, 128] then B [128, 128], of row r the 16 codes i at i ^ (r % 8); scales: 1024 floats,
/// of which step i takes number (i % 256 + r) for the rows r and r + 8 of each band and, with `tokens`, number n for
/// column n. out: of each of an SM's 256 threads the sum of all its sums.
void wgmma_only(const void* codes, const float* scales, float* out, int steps, Promotion promotion, int sms,
                cudaStream_t stream);
inline constexpr double kWgmmaFlopsPerStep = 2.0 * 256 * 128 * 128;

/// A kernel that does nothing, with the grid and the shared memory of a GEMM.
void launch_empty(int ctas, int threads, int shared_bytes, bool overlap_prologue, cudaStream_t stream);

/// d[i] = dot product of row i of a and row i of b ([64 dots, k] each, E4M3) accumulated by the tensor core over all of
/// k (promote_every = 0), or promoted to FP32 every 128. m = n = 64: out is [64, 128] of which n < 128 columns count.
void accumulate(const void* a, const void* b, float* out, std::int64_t k, bool promote, cudaStream_t stream);

}  // namespace railcast::kernels
