// Test data on the GPU: hashed, so that a seed and an index always give the same value.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace railcast::kernels {

/// E4M3 codes of N(0,1) * 100 (saturated), as published measurements use.
void fill_codes(void* codes, std::size_t count, std::uint32_t seed, cudaStream_t stream);
/// FP32 uniform in [low, high).
void fill_uniform(float* x, std::size_t count, float low, float high, std::uint32_t seed, cudaStream_t stream);
/// BF16 N(0,1) * sigma.
void fill_bf16(void* x, std::size_t count, float sigma, std::uint32_t seed, cudaStream_t stream);

}  // namespace railcast::kernels
