// Where every token goes: one block a rank.
#include "kernels/dispatch.hpp"
#include "kernels/exchange.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 1024, kWarps = kThreads / 32, kMostExperts = 1024;

struct Counts {
  int next[kWarps][kMostRanks];  ///< of a warp's tokens to a rank: how many, then the first one's place
  int total[kMostRanks];
  int expert[kMostExperts];
};

/// Bit d: the token has an expert on rank d.
__device__ unsigned long long ranks_of(const DispatchArgs& a, const DispatchRank& mine, std::int64_t token,
                                       int* expert) {
  unsigned long long ranks = 0;
  const auto experts_each = static_cast<int>(a.shape.experts / a.shape.ranks);
  if (token >= mine.tokens) return 0;
  for (int k = 0; k < a.shape.top_k; ++k) {
    const int e = mine.chosen[token * a.shape.top_k + k];
    if (e < 0) continue;
    ranks |= 1ULL << (e / experts_each);
    if (mine.expert_counts != nullptr) atomicAdd(&expert[e], 1);
  }
  return ranks;
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
  if (threadIdx.x < static_cast<unsigned>(ranks)) {
    int sum = c.total[threadIdx.x];
    for (int w = 0; w < kWarps; ++w) {
      const int count = c.next[w][threadIdx.x];
      c.next[w][threadIdx.x] = sum;
      sum += count;
    }
    c.total[threadIdx.x] = sum;
  }
  __syncthreads();
  for (int d = 0; d < ranks; ++d) {
    const bool goes = (to >> d & 1) != 0;
    const unsigned same = __ballot_sync(full_warp, goes);
    if (token < mine.tokens)
      mine.places[token * ranks + d] = goes ? c.next[warp][d] + __popc(same & ((1U << lane) - 1)) : -1;
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
  __threadfence_system();
  __syncthreads();
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
