#include "kernels/ceilings.hpp"

#include "kernels/block_gemm.cuh"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

using Config = TileConfig<256, 128, false>;
constexpr int kColumns = Config::kColumns;

template <Promotion kPromotion>
__device__ void promote_resident(float (&sum)[kColumns / 2], const float (&part)[kColumns / 2], float scale,
                                 std::uint32_t columns) {
  if constexpr (kPromotion == Promotion::tokens) {
    ColumnScales<Config> scales(columns);
    scales.begin();
    promote_columns<Config>(sum, part, scale, scale, scales);
  } else {
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) sum[i] += scale * part[i];
  }
}

template <Promotion kPromotion>
__global__ __launch_bounds__(384, 1) void wgmma_loop(const int4* codes, const float* scales, float* out, int steps) {
  extern __shared__ std::uint8_t shared[];
  const std::uint32_t base = (shared_address(shared) + 1023) & ~1023U;
  auto* aligned = reinterpret_cast<int4*>(shared + (base - shared_address(shared)));
  for (int i = threadIdx.x; i < 49152 / 16; i += 384) aligned[i] = codes[i];
  auto* columns = reinterpret_cast<float*>(aligned + 49152 / 16);
  for (int i = threadIdx.x; i < 1024; i += 384) columns[i] = scales[i];
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const Lane me;
  if (me.group == 2) {
    give_registers<40>();
    return;
  }
  take_registers<232>();
  float sum[2][kColumns / 2] = {};
  for (int i = 0; i < steps; ++i) {
#pragma unroll
    for (int v = 0; v < 2; ++v) {
      const std::uint32_t a = operand_word(base + (v * 2 + me.group) * kBand * kStep), b = operand_word(base + 32768);
      if constexpr (kPromotion == Promotion::none) {
        multiply<kColumns, false>(sum[v], a, b);
        wgmma_wait<0>();
        pin(sum[v]);
      } else {
        float part[kColumns / 2];
        multiply<kColumns>(part, a, b);
        const float scale = load_shared(base + 49152 + (i % 256 + me.row) * 4);
        wgmma_wait<0>();
        pin(part);
        promote_resident<kPromotion>(sum[v], part, scale, base + 49152 + me.lane % 4 * 8);
      }
    }
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < kColumns / 2; ++i) total += sum[0][i] + sum[1][i];
  out[blockIdx.x * 256 + threadIdx.x] = total;
}

__global__ void empty() {}

/// One warpgroup, 64 x 128 outputs, operands laid out by the threads themselves (128-byte swizzle).
__global__ __launch_bounds__(128, 1) void accumulate_loop(const std::uint8_t* a, const std::uint8_t* b, float* out,
                                                          std::int64_t k, bool promote_steps) {
  __shared__ __align__(1024) std::uint8_t tile[(64 + 128) * 128];
  const std::uint32_t base = shared_address(tile);
  const int t = threadIdx.x;
  float sum[64] = {}, part[64] = {};
  for (std::int64_t k0 = 0; k0 < k; k0 += 128) {
    for (int i = t; i < 192 * 8; i += 128) {
      const int row = i / 8, piece = i % 8;
      const std::uint8_t* from = row < 64 ? a + row * k : b + (row - 64) * k;
      *reinterpret_cast<int4*>(tile + row * 128 + (piece ^ (row % 8)) * 16) =
          *reinterpret_cast<const int4*>(from + k0 + piece * 16);
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    const std::uint32_t left = operand_word(base), right = operand_word(base + 64 * 128);
    pin(part);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i)
      Wgmma<128>::step(part, operand(left + 2 * i), operand(right + 2 * i), i > 0 || (!promote_steps && k0 > 0));
    wgmma_commit();
    wgmma_wait<0>();
    pin(part);
#pragma unroll
    for (int i = 0; i < 64; ++i) sum[i] = promote_steps ? sum[i] + part[i] : part[i];
    __syncthreads();
  }
  const int row = t / 32 * 16 + t % 32 / 4;
#pragma unroll
  for (int i = 0; i < 64; ++i) out[(row + i % 4 / 2 * 8) * 128 + i / 4 * 8 + t % 4 * 2 + i % 2] = sum[i];
}

template <Promotion kPromotion>
void launch_loop(const void* codes, const float* scales, float* out, int steps, int sms, cudaStream_t stream) {
  constexpr int kShared = 49152 + 4096 + 2048;
  throw_unless(cudaFuncSetAttribute(wgmma_loop<kPromotion>, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared),
               "shared memory");
  wgmma_loop<kPromotion><<<sms, 384, kShared, stream>>>(static_cast<const int4*>(codes), scales, out, steps);
  throw_unless(cudaGetLastError(), "launching the wgmma loop");
}

}  // namespace

void wgmma_only(const void* codes, const float* scales, float* out, int steps, Promotion promotion, int sms,
                cudaStream_t stream) {
  switch (promotion) {
    case Promotion::none:
      return launch_loop<Promotion::none>(codes, scales, out, steps, sms, stream);
    case Promotion::weights:
      return launch_loop<Promotion::weights>(codes, scales, out, steps, sms, stream);
    case Promotion::tokens:
      return launch_loop<Promotion::tokens>(codes, scales, out, steps, sms, stream);
  }
}

void launch_empty(int ctas, int threads, int shared_bytes, bool overlap_prologue, cudaStream_t stream) {
  if (shared_bytes > 0)
    throw_unless(cudaFuncSetAttribute(empty, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
                 "shared memory");
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(ctas)), config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes), config.stream = stream;
  config.attrs = &attribute, config.numAttrs = overlap_prologue ? 1 : 0;
  throw_unless(cudaLaunchKernelEx(&config, empty), "launching an empty kernel");
}

void accumulate(const void* a, const void* b, float* out, std::int64_t k, bool promote, cudaStream_t stream) {
  accumulate_loop<<<1, 128, 0, stream>>>(static_cast<const std::uint8_t*>(a), static_cast<const std::uint8_t*>(b), out,
                                         k, promote);
  throw_unless(cudaGetLastError(), "launching the accumulation test");
}

}  // namespace railcast::kernels
