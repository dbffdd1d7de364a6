#include "kernels/cross_entropy.hpp"

#include <cooperative_groups.h>

#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 512, kMostStages = 3, kMostCluster = 8;
// A slice of a row lies in the registers of one CTA, `vectors` of eight elements a thread: with 4, two CTAs share an
// SM, and one adds up while the other stores; 8 for vocabularies past 131072.
constexpr std::int64_t most_slice(int vectors) { return kThreads * std::int64_t{8} * vectors; }
constexpr int ctas_each(int vectors) { return vectors == 4 ? 2 : 1; }
constexpr std::int64_t ring_bytes(int vectors) { return 200 * 1024 / ctas_each(vectors); }

/// Largest logit and sum of exp(logit - it): of a slice, or of a whole row.
struct alignas(8) SoftmaxSum {
  float top, sum;
};

struct Shared {
  Barrier full[kMostStages];
  Barrier come[2];                     ///< all slices' sums are here; rows take turns
  SoftmaxSum slices[2][kMostCluster];  ///< written by every CTA of the cluster
  float scratch[2][kThreads / 32];
};

/// How a row is cut: CTA r of the cluster holds elements first .. first + count - 1.
struct Slice {
  std::int64_t first;
  int count;
  __device__ Slice(const CrossEntropyArgs& a, int slice, unsigned rank)
      : first(static_cast<std::int64_t>(rank) * slice),
        count(static_cast<int>(max(std::int64_t{0}, min(static_cast<std::int64_t>(slice), a.vocab - first)))) {}
};

__device__ __forceinline__ float block_max(float x, float* scratch) {
  x = group_amax<32>(x);
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  return group_amax<32>(scratch[threadIdx.x % (kThreads / 32)]);
}

/// To another CTA's shared memory; its barrier counts the bytes. Unlike a barrier of the cluster it orders nothing, so
/// that it need not wait for the gradients on their way to memory.
__device__ __forceinline__ void send(std::uint32_t to, SoftmaxSum s, std::uint32_t barrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [%0], {%1, %2}, [%3];" ::"r"(to),
               "f"(s.top), "f"(s.sum), "r"(barrier)
               : "memory");
}

/// Sends this slice's sums to the cluster's CTAs and returns the row's, added in the order of the slices. A CTA is at
/// most one row ahead of another, so that two turns suffice.
__device__ __forceinline__ SoftmaxSum row_sum(Shared& shared, int turn, std::uint32_t phase, SoftmaxSum mine) {
  const auto cluster = cooperative_groups::this_cluster();
  const unsigned ctas = cluster.num_blocks();
  if (ctas == 1) return mine;
  Barrier& come = shared.come[turn];
  if (threadIdx.x == 0) come.expect(ctas * sizeof(SoftmaxSum));
  if (threadIdx.x < ctas)
    send(address_in(shared_address(&shared.slices[turn][cluster.block_rank()]), threadIdx.x), mine,
         address_in(come.address(), threadIdx.x));
  come.wait(phase);
  SoftmaxSum row{-INFINITY, 0};
  for (unsigned c = 0; c < ctas; ++c) row.top = fmaxf(row.top, shared.slices[turn][c].top);
  for (unsigned c = 0; c < ctas; ++c) {
    const SoftmaxSum s = shared.slices[turn][c];
    if (s.sum > 0) row.sum += s.sum * __expf(s.top - row.top);
  }
  return row;
}

/// exp(x - top) of this thread's elements, and the slice's sum.
template <int vectors>
__device__ __forceinline__ SoftmaxSum exponentials(const uint4 (&v)[vectors], int count, Shared& shared,
                                                   float (&e)[vectors][8]) {
  float top = -INFINITY;
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    unpack8(v[i], e[i]);
    const bool inside = (i * kThreads + static_cast<int>(threadIdx.x)) * 8 < count;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      e[i][k] = inside ? e[i][k] : -INFINITY;
      top = fmaxf(top, e[i][k]);
    }
  }
  top = block_max(top, shared.scratch[0]);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < vectors; ++i)
#pragma unroll
    for (int k = 0; k < 8; ++k) sum += e[i][k] = __expf(e[i][k] - top);
  return {top, block_sum(sum, shared.scratch[1])};
}

/// The gradient over the logits. `factor` turns this slice's exponentials into scaled probabilities.
template <int vectors>
__device__ __forceinline__ void store_gradient(const CrossEntropyArgs& a, Bf16* to, int count, float factor, int target,
                                               float (&e)[vectors][8]) {
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = (i * kThreads + static_cast<int>(threadIdx.x)) * 8;
    if (at >= count) continue;
#pragma unroll
    for (int k = 0; k < 8; ++k) e[i][k] *= factor;
    if (static_cast<unsigned>(target - at) < 8) {
#pragma unroll
      for (int k = 0; k < 8; ++k) e[i][k] -= at + k == target ? a.gradient_scale : 0.0F;
    }
    store16(to + at, pack8(e[i]));
  }
}

/// Persistent clusters; each CTA's slices of the rows to come are on their way through a ring.
template <int vectors>
__global__ __launch_bounds__(kThreads, ctas_each(vectors)) void loss_and_gradient(const CrossEntropyArgs a, int slice,
                                                                                  int stage_count) {
  extern __shared__ __align__(128) unsigned char stages[];
  __shared__ Shared shared;
  const auto cluster = cooperative_groups::this_cluster();
  const Slice mine(a, slice, cluster.block_rank());
  const std::int64_t clusters = gridDim.x / cluster.num_blocks();
  std::int64_t row = blockIdx.x / cluster.num_blocks();
  const auto bytes = static_cast<std::uint32_t>(mine.count * 2);
  const auto fetch = [&](std::int64_t r, int s) {
    if (r >= a.tokens || bytes == 0) return;
    shared.full[s].expect(bytes);
    bulk_load(stages + static_cast<std::int64_t>(s) * slice * 2, a.logits + r * a.vocab + mine.first, bytes,
              shared.full[s]);
  };
  if (threadIdx.x == 0) {
    for (int s = 0; s < stage_count; ++s) shared.full[s].init(1);
    for (Barrier& b : shared.come) b.init(1);
    barrier_init_fence();
    for (int s = 0; s < stage_count; ++s) fetch(row + s * clusters, s);
  }
  cluster.sync();  // barriers are initialised, and every CTA of the cluster runs
  int stage = 0, turn = 0;
  std::uint32_t phase = 0, turn_phase = 0;
  for (; row < a.tokens; row += clusters, turn_phase ^= turn, turn ^= 1) {
    const auto* data = reinterpret_cast<const Bf16*>(stages + static_cast<std::int64_t>(stage) * slice * 2);
    if (bytes != 0) shared.full[stage].wait(phase);
    const std::int64_t in_slice = a.targets[row] - mine.first;
    const bool has_target = a.targets[row] >= 0 && in_slice >= 0 && in_slice < mine.count;
    const float target_logit = has_target ? float_from_bf16(data[in_slice]) : 0.0F;
    uint4 v[vectors];
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int at = i * kThreads + threadIdx.x;
      v[i] = at * 8 < mine.count ? reinterpret_cast<const uint4*>(data)[at] : uint4{};
    }
    float e[vectors][8];
    const SoftmaxSum part = exponentials(v, mine.count, shared, e);  // its barriers: the stage has been read
    if (threadIdx.x == 0) fetch(row + stage_count * clusters, stage);
    const SoftmaxSum whole = row_sum(shared, turn, turn_phase, mine.count > 0 ? part : SoftmaxSum{-INFINITY, 0});
    const float factor = a.targets[row] < 0 ? 0.0F : __expf(part.top - whole.top) / whole.sum * a.gradient_scale;
    store_gradient(a, a.logits + row * a.vocab + mine.first, mine.count, factor,
                   has_target ? static_cast<int>(in_slice) : -8, e);
    if (threadIdx.x == 0 && has_target) a.loss[row] = logf(whole.sum) + whole.top - target_logit;
    if (threadIdx.x == 0 && a.targets[row] < 0 && mine.first == 0) a.loss[row] = 0;
    if (++stage == stage_count) stage = 0, phase ^= 1;
  }
  cluster.sync();  // nobody leaves while others may still write to it
}

template <int vectors>
void launch_clusters(const CrossEntropyArgs& a, const Launch& launch) {
  unsigned ctas = 1;
  while (ctas * most_slice(vectors) < a.vocab) ctas *= 2;
  const std::int64_t slice = (a.vocab / 8 + ctas - 1) / ctas * 8;
  const int stages = static_cast<int>(std::min<std::int64_t>(kMostStages, ring_bytes(vectors) / (slice * 2)));
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {ctas, 1, 1};
  cudaLaunchConfig_t config{};
  config.blockDim = kThreads;
  config.dynamicSmemBytes = static_cast<std::size_t>(stages * slice * 2);
  config.stream = launch.stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  cudaFuncSetAttribute(loss_and_gradient<vectors>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(config.dynamicSmemBytes));
  config.gridDim = ctas;
  int fit = 0;  // clusters that run at once: more would wait for a second wave
  cudaOccupancyMaxActiveClusters(&fit, loss_and_gradient<vectors>, &config);
  if (launch.sms > 0) fit = std::min(fit, launch.sms * ctas_each(vectors) / static_cast<int>(ctas));
  config.gridDim = ctas * static_cast<unsigned>(std::clamp<std::int64_t>(fit, 1, a.tokens));
  cudaLaunchKernelEx(&config, loss_and_gradient<vectors>, a, static_cast<int>(slice), stages);
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& a, const Launch& launch) {
  const char* name = "cross_entropy";
  require(a.vocab > 0 && a.vocab % 8 == 0 && a.vocab <= most_slice(8) * kMostCluster, name,
          "vocab a multiple of 8 up to 262144, got " + std::to_string(a.vocab));
  require(a.logits && a.targets && a.loss && aligned16(a.logits), name,
          "logits (aligned to 16 bytes), targets and loss");
  if (a.tokens == 0) return;
  if (a.vocab <= most_slice(4) * kMostCluster)
    launch_clusters<4>(a, launch);
  else
    launch_clusters<8>(a, launch);
  check_launch(name);
}

}  // namespace railcast::kernels
