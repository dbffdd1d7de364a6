#include "kernels/adamw.hpp"

#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

/// What every parameter shares, computed once on the host.
struct Factors {
  float beta1, beta2, step, inverse_root2, epsilon, keep, most_norm;
  const float* norm;
  explicit Factors(const AdamWArgs& a)
      : beta1(a.beta1),
        beta2(a.beta2),
        step(static_cast<float>(a.rate / (1 - std::pow(static_cast<double>(a.beta1), a.step)))),
        inverse_root2(static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(a.beta2), a.step)))),
        epsilon(a.epsilon),
        keep(1.0F - a.rate * a.decay),
        most_norm(a.most_norm),
        norm(a.norm) {}
  __device__ __forceinline__ float clip() const {
    return norm == nullptr ? 1.0F : fminf(1.0F, most_norm / (__ldg(norm) + 1e-6F));
  }
};

/// Eight neighbouring parameters.
struct Eight {
  float4 master[2], gradient[2];
  uint4 m, v;

  __device__ __forceinline__ void load(const AdamWArgs& a, std::int64_t at) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      master[h] = __ldcs(reinterpret_cast<const float4*>(a.master + at) + h);
      gradient[h] = __ldcs(reinterpret_cast<const float4*>(a.gradient + at) + h);
    }
    m = __ldcs(reinterpret_cast<const uint4*>(a.m + at));
    v = __ldcs(reinterpret_cast<const uint4*>(a.v + at));
  }
  /// The updated weights, in FP32; `m` and `v` are updated and rounded.
  __device__ __forceinline__ void update(const Factors& f, float clip, float (&w)[8]) {
    const float g[8] = {gradient[0].x, gradient[0].y, gradient[0].z, gradient[0].w,
                        gradient[1].x, gradient[1].y, gradient[1].z, gradient[1].w};
    const float old[8] = {master[0].x, master[0].y, master[0].z, master[0].w,
                          master[1].x, master[1].y, master[1].z, master[1].w};
    float first[8], second[8];
    unpack8(m, first), unpack8(v, second);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float x = g[i] * clip;
      first[i] = f.beta1 * first[i] + (1 - f.beta1) * x;
      second[i] = f.beta2 * second[i] + (1 - f.beta2) * x * x;
      w[i] = old[i] * f.keep - f.step * __fdividef(first[i], sqrtf(second[i]) * f.inverse_root2 + f.epsilon);
    }
    m = pack8(first), v = pack8(second);
  }
  __device__ __forceinline__ void store(const AdamWArgs& a, std::int64_t at, const float (&w)[8]) const {
    __stcs(reinterpret_cast<float4*>(a.master + at), float4{w[0], w[1], w[2], w[3]});
    __stcs(reinterpret_cast<float4*>(a.master + at) + 1, float4{w[4], w[5], w[6], w[7]});
    store16(a.m + at, m), store16(a.v + at, v);
  }
};

__global__ __launch_bounds__(256) void update_weights(const AdamWArgs a, const Factors f) {
  const std::int64_t at = (static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x) * 8;
  if (at >= a.parameters) return;
  Eight p;
  p.load(a, at);
  float w[8];
  p.update(f, f.clip(), w);
  p.store(a, at, w);
  if (a.weights != nullptr) store16(a.weights + at, pack8(w));
}

/// A 128x128 block of the weights: 512 threads, four times eight parameters each, kept until their scale is known.
__global__ __launch_bounds__(512) void update_and_quantize(const AdamWArgs a, const Factors f) {
  __shared__ float scratch[16];
  const std::int64_t across = a.k / 128;
  const std::int64_t first =
      (blockIdx.x / across * 128 + threadIdx.x / 16) * a.k + blockIdx.x % across * 128 + threadIdx.x % 16 * 8;
  const float clip = f.clip();
  float w[4][8], amax = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::int64_t at = first + i * 32 * a.k;
    Eight p;
    p.load(a, at);
    p.update(f, clip, w[i]);
    p.store(a, at, w[i]);
    if (a.weights != nullptr) store16(a.weights + at, pack8(w[i]));
#pragma unroll
    for (int j = 0; j < 8; ++j) amax = fmaxf(amax, fabsf(w[i][j]));
  }
  amax = group_amax<32>(amax);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = amax;
  __syncthreads();
  for (int i = 0; i < 16; ++i) amax = fmaxf(amax, scratch[i]);
  const GroupScale s = group_scale(amax, a.format);
#pragma unroll
  for (int i = 0; i < 4; ++i) store8(a.q + first + i * 32 * a.k, pack8_e4m3(w[i], s.inverse));
  if (threadIdx.x == 0) a.scales[blockIdx.x] = s.scale;
}

__device__ __forceinline__ double block_sum_double(double x, double* scratch) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(full_warp, x, step);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  double sum = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += scratch[w];
  return sum;
}

constexpr int kNormThreads = 512;

__global__ __launch_bounds__(kNormThreads) void sum_squares(const GlobalNormArgs a) {
  __shared__ double scratch[kNormThreads / 32];
  const auto* g = reinterpret_cast<const float4*>(a.gradient);
  const std::int64_t count = a.parameters / 4, stride = static_cast<std::int64_t>(kNormParts) * kNormThreads;
  double sum = 0;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kNormThreads + threadIdx.x; i < count;
       i += 4 * stride) {
    float few = 0;  // of 16 elements, then to FP64
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float4 v = i + j * stride < count ? __ldcs(g + i + j * stride) : float4{};
      few += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
    }
    sum += few;
  }
  sum = block_sum_double(sum, scratch);
  if (threadIdx.x == 0) a.parts[blockIdx.x] = sum;
}
__global__ __launch_bounds__(kNormParts) void finish_norm(const GlobalNormArgs a) {
  __shared__ double scratch[kNormParts / 32];
  const double sum = block_sum_double(a.parts[threadIdx.x], scratch);
  if (threadIdx.x == 0) *a.norm = static_cast<float>(sqrt(sum));
}

}  // namespace

void adamw(const AdamWArgs& a, const Launch& launch) {
  require(a.parameters >= 0 && a.parameters % 8 == 0, "adamw",
          "parameters a multiple of 8, got " + std::to_string(a.parameters));
  require(a.master && a.gradient && a.m && a.v, "adamw", "master, gradient, m and v");
  require(aligned16(a.master) && aligned16(a.gradient) && aligned16(a.m) && aligned16(a.v) && aligned16(a.weights) &&
              aligned16(a.q),
          "adamw", "pointers aligned to 16 bytes");
  require(a.step >= 1, "adamw", "a step of at least 1, got " + std::to_string(a.step));
  require(a.q == nullptr || (a.scales && a.n % 128 == 0 && a.k % 128 == 0 && a.n * a.k == a.parameters), "adamw",
          "with q: scales, and n and k multiples of 128 whose product is parameters");
  if (a.parameters == 0) return;
  const Factors factors(a);
  if (a.q != nullptr) {
    const auto blocks = static_cast<unsigned>(a.parameters / (128 * 128));
    update_and_quantize<<<blocks, 512, 0, launch.stream>>>(a, factors);
  } else {
    const auto blocks = static_cast<unsigned>((a.parameters / 8 + 255) / 256);
    update_weights<<<blocks, 256, 0, launch.stream>>>(a, factors);
  }
  check_launch("adamw");
}

void global_norm(const GlobalNormArgs& a, const Launch& launch) {
  require(a.parameters >= 0 && a.parameters % 4 == 0, "global_norm",
          "parameters a multiple of 4, got " + std::to_string(a.parameters));
  require(a.gradient && a.parts && a.norm && aligned16(a.gradient), "global_norm",
          "gradient (aligned to 16 bytes), parts and norm");
  sum_squares<<<kNormParts, kNormThreads, 0, launch.stream>>>(a);
  finish_norm<<<1, kNormParts, 0, launch.stream>>>(a);
  check_launch("global_norm");
}

}  // namespace railcast::kernels
