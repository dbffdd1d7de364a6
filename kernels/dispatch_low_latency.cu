#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/exchange.cuh"
#include "kernels/low_latency.hpp"

namespace railcast::kernels {
namespace {
using namespace device;

// A block's roles: eight senders, a token each at a time, and a publisher of its ranks' counts.
constexpr int kSenders = 8, kBatch = 7, kChoices = 8;

struct Work {
  LowLatencyArgs a;
  LowLatencyWindow window;
  unsigned long long timeout;
};

__device__ __forceinline__ LowLatencyChannel& channel_of(const Work& w, int rank) {
  return reinterpret_cast<LowLatencySync*>(w.a.peers.window[rank])->channel[w.a.buffer];
}
__device__ __forceinline__ int* late_of(const Work& w, int rank) {
  return &reinterpret_cast<LowLatencySync*>(w.a.peers.window[rank])->late;
}

/// A lane's of 32 * kChoices choices from `first` on, all on their way at once; -1 from `end` on.
__device__ __forceinline__ void choices(const int* chosen, std::int64_t first, std::int64_t end,
                                        int (&expert)[kChoices]) {
#pragma unroll
  for (int i = 0; i < kChoices; ++i) {
    const std::int64_t at = first + i * 32 + threadIdx.x % 32;
    expert[i] = at < end ? __ldg(chosen + at) : -1;
  }
}

/// Every local rank's choices of each expert, to all ranks.
__device__ void publish(const Work& w, int* counts) {
  const LowLatencyShape& s = w.a.shape;
  const int lane = threadIdx.x % 32;
  for (int l = static_cast<int>(blockIdx.x); l < w.a.peers.local; l += static_cast<int>(gridDim.x)) {
    const int rank = w.a.peers.first + l;
    const unsigned long long epoch = channel_of(w, rank).epoch;
    for (int e = lane; e < s.experts; e += 32) counts[e] = 0;
    __syncwarp();
    for (std::int64_t first = 0; first < w.a.rank[l].tokens * s.top_k; first += 32 * kChoices) {
      int expert[kChoices];
      choices(w.a.rank[l].chosen, first, w.a.rank[l].tokens * s.top_k, expert);
#pragma unroll
      for (int i = 0; i < kChoices; ++i)
        if (expert[i] >= 0) atomicAdd(&counts[expert[i]], 1);
    }
    __syncwarp();
    for (int d = 0; d < s.ranks; ++d)
      for (int e = lane; e < s.experts; e += 32) channel_of(w, d).counts[epoch % 2][rank][e] = counts[e];
    __syncwarp();  // a release is cumulative: it is behind the other lanes' counts too
    for (int d = lane; d < s.ranks; d += 32) store_release(&channel_of(w, d).counted[rank], epoch + 1);
  }
}

/// The token's row to FP8 with its scales, in shared memory.
__device__ void cast(const Work& w, const Bf16* x, unsigned char* codes) {
  const int lane = threadIdx.x % 32;
  auto* scales = reinterpret_cast<float*>(codes + w.a.shape.cols);
  for (std::int64_t first = lane * 8; first - lane * 8 < w.a.shape.cols; first += kBatch * 256) {
    uint4 v[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; ++i)
      if (first + i * 256 < w.a.shape.cols) v[i] = load16(x + first + i * 256);
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      const std::int64_t at = first + i * 256;
      if (at - lane * 8 >= w.a.shape.cols) break;
      const GroupScale scale = group_scale(group_amax<16>(max_abs2(v[i])), ScaleFormat::fp32);
      float value[8];
      unpack8(v[i], value);
      *reinterpret_cast<uint2*>(codes + at) = pack8_e4m3(value, scale.inverse);
      if (lane % 16 == 0) scales[at / 128] = scale.scale;
    }
  }
}

/// Lane k: the number of earlier tokens' choices of choice k's expert (a token's own are all different).
__device__ int earlier(const int* chosen, std::int64_t token, int top_k, int expert) {
  const int lane = threadIdx.x % 32;
  int count = 0;
  for (std::int64_t first = 0; first < token * top_k; first += 32 * kChoices) {
    int other[kChoices];
    choices(chosen, first, token * top_k, other);
    for (int k = 0; k < top_k; ++k) {
      const int wanted = __shfl_sync(full_warp, expert, k);
      int mine = 0;
#pragma unroll
      for (int i = 0; i < kChoices; ++i) mine += other[i] == wanted;
      const auto all = static_cast<int>(__reduce_add_sync(full_warp, static_cast<unsigned>(mine)));
      if (lane == k) count += all;
    }
  }
  return count;
}

/// Rows of lower ranks at the expert, once all counts are here; -1: they did not come.
__device__ int rows_before(const Work& w, int rank, int expert) {
  LowLatencyChannel& own = channel_of(w, rank);
  bool here = true;
  for (int from = threadIdx.x % 32; from < w.a.shape.ranks; from += 32)
    here = wait_for(&own.counted[from], own.epoch + 1, from, late_of(w, rank), w.timeout) && here;
  if (!__all_sync(full_warp, here)) return -1;
  int rows = 0;
  const auto counts = own.counts[own.epoch % 2];
#pragma unroll 8
  for (int from = 0; from < rank; ++from) rows += expert >= 0 ? __ldcg(&counts[from][expert]) : 0;
  return rows;
}

/// One token: cast, then a copy to each of its experts.
__device__ bool send(const Work& w, int local, std::int64_t token, unsigned char* codes) {
  const LowLatencyShape& s = w.a.shape;
  const LowLatencyRank& mine = w.a.rank[local];
  const int rank = w.a.peers.first + local, lane = threadIdx.x % 32;
  const std::int64_t choice = token * s.top_k + lane;
  const int expert = lane < s.top_k ? mine.chosen[choice] : -1;
  cast(w, mine.x + token * s.cols, codes);
  int row = earlier(mine.chosen, token, s.top_k, expert);
  const int before = rows_before(w, rank, expert);
  if (before < 0) return false;
  row += before;
  if (lane < s.top_k) mine.rows[choice] = expert < 0 ? -1 : row;
  bulk_sees_stores();
  __syncwarp();
  if (expert < 0) return true;
  const int d = expert / static_cast<int>(s.experts_each());
  const std::int64_t at = expert % s.experts_each() * s.rows() + row, groups = s.cols / 128;
  bulk_store(w.a.peers.window[d] + w.window.x[w.a.buffer] + at * s.cols, codes, static_cast<std::uint32_t>(s.cols));
  bulk_store(w.a.peers.window[d] + w.window.x_scales[w.a.buffer] + at * groups * 4, codes + s.cols,
             static_cast<std::uint32_t>(groups * 4));
  bulk_commit();
  bulk_wait_all();
  add_release(&channel_of(w, d).arrived[rank], 1);
  return true;
}

__global__ __launch_bounds__((kSenders + 1) * 32) void put(const __grid_constant__ Work w) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ int counts[kMostLowLatencyExperts];
  const int warp = threadIdx.x / 32;
  if (warp == kSenders) return publish(w, counts);
  unsigned char* codes = shared + warp * (w.a.shape.cols + w.a.shape.cols / 32);
  for (std::int64_t i = std::int64_t{warp} * gridDim.x + blockIdx.x; i < w.a.peers.local * w.a.shape.tokens;
       i += std::int64_t{gridDim.x} * kSenders) {
    const auto local = static_cast<int>(i % w.a.peers.local);
    const std::int64_t token = i / w.a.peers.local;
    if (token >= w.a.rank[local].tokens) continue;
    if (!send(w, local, token, codes)) return;
    __syncwarp();
  }
}

// ---- the reception: a block an expert ----

constexpr int kReceivers = 256, kGroups = 64;

/// Until all rows of all ranks are here; also this expert's rows. -1: some did not come.
__device__ int wait_for_rows(const Work& w, int rank, int expert) {
  LowLatencyChannel& own = channel_of(w, rank);
  const LowLatencyShape& s = w.a.shape;
  const auto each = static_cast<int>(s.experts_each()), first = rank * each;
  const auto counts = own.counts[own.epoch % 2];
  bool here = true;
  for (int from = threadIdx.x / 32; from < s.ranks; from += kReceivers / 32)
    here = wait_for(&own.counted[from], own.epoch + 1, from, late_of(w, rank), w.timeout) && here;
  if (__syncthreads_and(here) == 0) return -1;  // not to blame ranks that gave up on the same one
  __shared__ int rows;
  if (threadIdx.x == 0) rows = 0;
  __syncthreads();
  for (int from = threadIdx.x / 32; from < s.ranks; from += kReceivers / 32) {
    int due = 0, mine = 0;
    for (int e = threadIdx.x % 32; e < each; e += 32) {
      const int count = __ldcg(&counts[from][first + e]);
      due += count, mine += e == expert ? count : 0;
    }
    if (mine != 0) atomicAdd(&rows, mine);
    due = static_cast<int>(__reduce_add_sync(full_warp, static_cast<unsigned>(due)));
    here = wait_for(&own.arrived[from], due, from, late_of(w, rank), w.timeout) && here;
  }
  return __syncthreads_and(here) == 0 ? -1 : rows;
}

/// scales[g][row] = x_scales[row][g], 32 rows of 64 groups at a time.
__device__ void turn_scales(const Work& w, int rank, int expert, int rows) {
  __shared__ float tile[32][kGroups + 1];
  const std::int64_t groups = w.a.shape.cols / 128, all = w.a.shape.rows();
  const float* from = in_window<float>(w.a.peers, rank, w.window.x_scales[w.a.buffer]) + expert * all * groups;
  float* to = in_window<float>(w.a.peers, rank, w.window.scales[w.a.buffer]) + expert * groups * all;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (std::int64_t row0 = 0; row0 < rows; row0 += 32)
    for (std::int64_t g0 = 0; g0 < groups; g0 += kGroups) {
#pragma unroll
      for (int r = warp; r < 32; r += kReceivers / 32)
#pragma unroll
        for (int g = lane; g < kGroups; g += 32)
          if (row0 + r < rows && g0 + g < groups) tile[r][g] = __ldcg(from + (row0 + r) * groups + g0 + g);
      __syncthreads();
#pragma unroll
      for (int g = warp; g < kGroups; g += kReceivers / 32)
        if (g0 + g < groups && row0 + lane < rows) to[(g0 + g) * all + row0 + lane] = tile[lane][g];
      __syncthreads();
    }
}

/// Behind what this block has read (its loads are done: it has used them) and ahead of what the last block resets.
__device__ __forceinline__ unsigned count_through(unsigned* done) {
  unsigned before;
  asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(before) : "l"(done) : "memory");
  return before;
}

/// The last block through makes the channel ready for its next epoch.
__device__ void leave(const Work& w, int rank) {
  LowLatencyChannel& own = channel_of(w, rank);
  __shared__ bool last;
  if (threadIdx.x == 0) last = count_through(&own.done) + 1 == w.a.shape.experts_each();
  __syncthreads();
  if (!last) return;
  if (threadIdx.x < kMostRanks) own.arrived[threadIdx.x] = 0;
  if (threadIdx.x == 0) own.done = 0, own.epoch += 1;
}

__global__ __launch_bounds__(kReceivers) void receive(const __grid_constant__ Work w) {
  const auto each = static_cast<int>(w.a.shape.experts_each());
  const int local = static_cast<int>(blockIdx.x) / each, expert = static_cast<int>(blockIdx.x) % each;
  const int rank = w.a.peers.first + local;
  const int rows = wait_for_rows(w, rank, expert);
  if (rows < 0) return;
  if (threadIdx.x == 0) w.a.rank[local].valid_rows[expert] = rows;
  turn_scales(w, rank, expert, rows);
  leave(w, rank);
}

Work work_of(const LowLatencyArgs& a, const char* name) {
  check_low_latency(a, name);
  return {a, low_latency_window(a.shape), static_cast<unsigned long long>(a.timeout_s * 1e9)};
}

}  // namespace

void dispatch_low_latency(const LowLatencyArgs& a, const Launch& launch) {
  const char* name = "dispatch_low_latency";
  const Work w = work_of(a, name);
  for (int i = 0; i < a.peers.local; ++i)
    require(a.rank[i].tokens == 0 || (a.rank[i].x && aligned16(a.rank[i].x) && a.rank[i].chosen && a.rank[i].rows),
            name, "x (aligned to 16 bytes), chosen and rows of rank " + std::to_string(a.peers.first + i));
  const auto shared = static_cast<int>(kSenders * (a.shape.cols + a.shape.cols / 32));
  launch_on_sms(put, w, launch.sms > 0 ? launch.sms : 132, (kSenders + 1) * 32, shared, launch.stream, name);
}

void dispatch_low_latency_receive(const LowLatencyArgs& a, const Launch& launch) {
  const char* name = "dispatch_low_latency_receive";
  const Work w = work_of(a, name);
  for (int i = 0; i < a.peers.local; ++i) require(a.rank[i].valid_rows, name, "valid_rows of every rank");
  receive<<<static_cast<unsigned>(a.peers.local * a.shape.experts_each()), kReceivers, 0, launch.stream>>>(w);
  check_launch(name);
}

}  // namespace railcast::kernels
