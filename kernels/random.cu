#include "kernels/random.hpp"

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include "kernels/hash.cuh"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

__device__ float gaussian(std::uint32_t seed, std::uint64_t i) {
  return sqrtf(-2.0F * logf(unit(seed, 2 * i))) * cospif(2.0F * unit(seed, 2 * i + 1));
}

template <typename Make>
__global__ void fill(std::size_t count, Make make) {
  for (std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x; i < count;
       i += std::size_t{gridDim.x} * blockDim.x)
    make(i);
}

template <typename Make>
void launch_fill(std::size_t count, cudaStream_t stream, Make make) {
  fill<<<1056, 256, 0, stream>>>(count, make);
  throw_unless(cudaGetLastError(), "filling with random data");
}

}  // namespace

void fill_codes(void* codes, std::size_t count, std::uint32_t seed, cudaStream_t stream) {
  auto* to = static_cast<__nv_fp8_storage_t*>(codes);
  launch_fill(count, stream, [=] __device__(std::size_t i) {
    to[i] = __nv_cvt_float_to_fp8(100.0F * gaussian(seed, i), __NV_SATFINITE, __NV_E4M3);
  });
}

void fill_uniform(float* x, std::size_t count, float low, float high, std::uint32_t seed, cudaStream_t stream) {
  launch_fill(count, stream, [=] __device__(std::size_t i) { x[i] = low + (high - low) * unit(seed, i); });
}

void fill_bf16(void* x, std::size_t count, float sigma, std::uint32_t seed, cudaStream_t stream) {
  auto* to = static_cast<__nv_bfloat16*>(x);
  launch_fill(count, stream, [=] __device__(std::size_t i) { to[i] = __float2bfloat16(sigma * gaussian(seed, i)); });
}

}  // namespace railcast::kernels
