// Where every token goes: one block a rank.
#include "kernels/dispatch.hpp"
#include "kernels/exchange.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 1024, kWarps = kThreads / 32, kMostExperts = 1024, kBatch = 8;

struct Counts {
  int next[kWarps][kMostRanks + 1];  ///< of a warp's tokens to a rank: how many, then the first one's place
  int total[kMostRanks];
  int expert[kMostExperts];
};

/// Up to eight of a token's choices, all on their way at once; -1 from `left` on.
__device__ __forceinline__ void load_choices(const int* from, int left, int (&e)[kBatch]) {
  if (left >= kBatch && reinterpret_cast<std::uintptr_t>(from) % 16 == 0) {
    const int4 a = __ldg(reinterpret_cast<const int4*>(from)), b = __ldg(reinterpret_cast<const int4*>(from) + 1);
    e[0] = a.x, e[1] = a.y, e[2] = a.z, e[3] = a.w, e[4] = b.x, e[5] = b.y, e[6] = b.z, e[7] = b.w;
    return;
  }
#pragma unroll
  for (int k = 0; k < kBatch; ++k) e[k] = k < left ? __ldg(from + k) : -1;
}

/// Bit d: the token has an expert on rank d.
__device__ unsigned long long ranks_of(const DispatchArgs& a, const DispatchRank& mine, std::int64_t token,
                                       int* expert) {
  unsigned long long ranks = 0;
  const auto experts_each = static_cast<int>(a.shape.experts / a.shape.ranks);
  if (token >= mine.tokens) return 0;
  for (int first = 0; first < a.shape.top_k; first += kBatch) {
    int e[kBatch];
    load_choices(mine.chosen + token * a.shape.top_k + first, a.shape.top_k - first, e);
#pragma unroll
    for (int k = 0; k < kBatch; ++k) {
      if (e[k] < 0) continue;
      ranks |= 1ULL << (e[k] / experts_each);
      if (mine.expert_counts != nullptr) atomicAdd(&expert[e[k]], 1);
    }
  }
  return ranks;
}

/// Up to four places, at once where all rows of four are aligned.
__device__ __forceinline__ void store_places(int* to, const int (&place)[4], int left, bool aligned) {
  if (aligned && reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
    *reinterpret_cast<int4*>(to) = {place[0], place[1], place[2], place[3]};
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (i < left) to[i] = place[i];
}

/// Places of 1024 tokens, in their order.
__device__ void place(const DispatchArgs& a, const DispatchRank& mine, std::int64_t token, Counts& c) {
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, ranks = a.shape.ranks;
  const unsigned long long to = ranks_of(a, mine, token, c.expert);
  for (int d = 0; d < ranks; ++d) {
    const unsigned same = __ballot_sync(full_warp, (to >> d & 1) != 0);
    if (lane == 0) c.next[warp][d] = __popc(same);
  }
  __syncthreads();
  for (int d = warp; d < ranks; d += kWarps) {  // lane w: warp w's
    const int count = c.next[lane][d], before = c.total[d];
    int sum = count;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(full_warp, sum, step);
      if (lane >= step) sum += below;
    }
    c.next[lane][d] = before + sum - count;
    if (lane == 31) c.total[d] = before + sum;
  }
  __syncthreads();
  for (int first = 0; first < ranks; first += 4) {
    int place[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int d = min(first + i, ranks - 1);
      const bool goes = (to >> d & 1) != 0;
      const unsigned same = __ballot_sync(full_warp, goes);
      place[i] = goes ? c.next[warp][d] + __popc(same & ((1U << lane) - 1)) : -1;
    }
    if (token < mine.tokens) store_places(mine.places + token * ranks + first, place, ranks - first, ranks % 4 == 0);
  }
  __syncthreads();
}

/// The counts to all ranks, then the notice, in which every rank also reads that this one's window is free.
__device__ void tell(const DispatchArgs& a, int rank, const Counts& c) {
  ExchangeSync* own = sync_of(a.peers, rank);
  const int ranks = a.shape.ranks;
  const unsigned long long epoch = own->epoch + 1;
  for (int i = threadIdx.x; i < ranks * ranks; i += kThreads)
    sync_of(a.peers, i / ranks)->counts[epoch % 2][rank][i % ranks] = c.total[i % ranks];
  if (threadIdx.x < kMostRanks) own->arrived[threadIdx.x] = 0;
  __syncthreads();  // a release is cumulative: it is behind the other threads' counts too
  if (threadIdx.x < static_cast<unsigned>(ranks))
    store_release(&sync_of(a.peers, static_cast<int>(threadIdx.x))->counted[rank], epoch);
  if (threadIdx.x == 0) own->epoch = epoch;
}

__global__ __launch_bounds__(kThreads) void lay_out(const __grid_constant__ DispatchArgs a) {
  __shared__ Counts c;
  const DispatchRank& mine = a.rank[blockIdx.x];
  for (int i = threadIdx.x; i < kMostExperts; i += kThreads) c.expert[i] = 0;
  if (threadIdx.x < kMostRanks) c.total[threadIdx.x] = 0;
  __syncthreads();
  for (std::int64_t first = 0; first < mine.tokens; first += kThreads) place(a, mine, first + threadIdx.x, c);
  if (mine.expert_counts != nullptr)
    for (int e = threadIdx.x; e < a.shape.experts; e += kThreads) mine.expert_counts[e] = c.expert[e];
  if (mine.rank_counts != nullptr && threadIdx.x < static_cast<unsigned>(a.shape.ranks))
    mine.rank_counts[threadIdx.x] = c.total[threadIdx.x];
  tell(a, a.peers.first + static_cast<int>(blockIdx.x), c);
}

}  // namespace

void dispatch_layout(const DispatchArgs& a, const Launch& launch) {
  const char* name = "dispatch_layout";
  window_of(a.shape);
  require(a.shape.experts <= kMostExperts, name, "up to 1024 experts, got " + std::to_string(a.shape.experts));
  require(a.peers.first >= 0 && a.peers.local >= 1 && a.peers.first + a.peers.local <= a.shape.ranks, name,
          "ranks of this launch within the shape's");
  for (int i = 0; i < a.peers.local; ++i) {
    const DispatchRank& r = a.rank[i];
    require(r.tokens >= 0 && r.tokens <= a.shape.tokens, name,
            "rank " + std::to_string(a.peers.first + i) + " to send 0 to " + std::to_string(a.shape.tokens) +
                " tokens, got " + std::to_string(r.tokens));
    require(r.tokens == 0 || (r.chosen && r.places), name, "chosen and places of every rank");
  }
  lay_out<<<static_cast<unsigned>(a.peers.local), kThreads, 0, launch.stream>>>(a);
  check_launch(name);
}

}  // namespace railcast::kernels
