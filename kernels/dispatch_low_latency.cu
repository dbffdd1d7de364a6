#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/exchange.cuh"
#include "kernels/low_latency.hpp"
#include "kernels/quantize_tile.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

// A block works on up to eight tokens at a time, two warps each: a caster turns the row to FP8 in shared memory while a
// placer finds the rows at its experts, which needs all ranks' counts; then the placer's lanes put it there, a choice
// each.
constexpr int kMostPairs = 8, kChoices = 16;
constexpr std::int64_t kPairsBytes = 200 * 1024;

struct Pair {
  Barrier here, cast, free;  ///< the row is in shared memory; so are its codes; they may be overwritten
};

struct Work {
  LowLatencyArgs a;
  LowLatencyWindow window;
  unsigned long long timeout;
  int pairs = 0;
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

/// The local ranks' choices of each expert, a rank a block, to all ranks: by all placers together.
__device__ void publish(const Work& w, int* counts) {
  const LowLatencyShape& s = w.a.shape;
  const int placers = w.pairs * 32, thread = static_cast<int>(threadIdx.x), experts = static_cast<int>(s.experts);
  for (int l = static_cast<int>(blockIdx.x); l < w.a.peers.local; l += static_cast<int>(gridDim.x)) {
    const int rank = w.a.peers.first + l;
    const unsigned long long epoch = channel_of(w, rank).epoch;
    for (int e = thread; e < experts; e += placers) counts[e] = 0;
    named_barrier_sync(1, placers);
    const auto all = static_cast<int>(w.a.rank[l].tokens) * s.top_k;
#pragma unroll 4
    for (int i = thread; i < all; i += placers) {
      const int expert = __ldg(w.a.rank[l].chosen + i);
      if (expert >= 0) atomicAdd(&counts[expert], 1);
    }
    named_barrier_sync(1, placers);
    for (int d = thread / 32; d < s.ranks; d += w.pairs)
      for (int e = thread % 32; e < experts; e += 32) channel_of(w, d).counts[epoch % 2][rank][e] = counts[e];
    named_barrier_sync(1, placers);  // a release is cumulative: it is behind the others' counts too
    for (int d = thread; d < s.ranks; d += placers) store_release(&channel_of(w, d).counted[rank], epoch + 1);
  }
}

/// The token's row to FP8 with its scales, within shared memory. 16 groups at a time, each scale worked out by one
/// lane.
__device__ void cast(const Work& w, const unsigned char* x, unsigned char* codes) {
  const int lane = threadIdx.x % 32, cols = static_cast<int>(w.a.shape.cols);
  auto* scales = reinterpret_cast<float*>(codes + cols);
  for (int first = 0; first < cols; first += 8 * 256) {
    uint4 v[8];
    std::uint32_t most[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int at = first + i * 256 + lane * 8;
      v[i] = first + i * 256 < cols ? *reinterpret_cast<const uint4*>(x + 2 * at) : uint4{};
      most[i] = max_abs2(v[i]);
    }
    const GroupScale mine = group_scale(amax_of_rows(most), ScaleFormat::fp32);
    const int group = first / 128 + row_of_lane() * 2 + lane / 16;
    if ((lane & 2) == 0 && group < cols / 128) scales[group] = mine.scale;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float inverse = __shfl_sync(full_warp, mine.inverse, lane_of_row(i), 16);
      float value[8];
      unpack8(v[i], value);
      if (first + i * 256 < cols)
        *reinterpret_cast<uint2*>(codes + first + i * 256 + lane * 8) = pack8_e4m3(value, inverse);
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

/// Calls visit(local rank, token) for each token of this pair of warps.
template <typename Visit>
__device__ __forceinline__ void each_token(const Work& w, int pair, Visit visit) {
  const std::int64_t local = w.a.peers.local;
  for (std::int64_t i = std::int64_t{pair} * gridDim.x + blockIdx.x; i < local * w.a.shape.tokens;
       i += std::int64_t{gridDim.x} * w.pairs)
    if (i / local < w.a.rank[i % local].tokens) visit(static_cast<int>(i % local), i / local);
}

/// The row in shared memory to each of the token's experts. Lane k: choice k's expert and row there.
__device__ __forceinline__ void put_row(const Work& w, int expert, int row, const unsigned char* codes) {
  const LowLatencyShape& s = w.a.shape;
  if (expert >= 0) {
    const int d = expert / static_cast<int>(s.experts_each());
    const std::int64_t at = expert % s.experts_each() * s.rows() + row, groups = s.cols / 128;
    bulk_store(w.a.peers.window[d] + w.window.x[w.a.buffer] + at * s.cols, codes, static_cast<std::uint32_t>(s.cols));
    bulk_store(w.a.peers.window[d] + w.window.x_scales[w.a.buffer] + at * groups * 4, codes + s.cols,
               static_cast<std::uint32_t>(groups * 4));
  }
  bulk_commit();
}

/// Once a rank is late nothing more is put; the barriers go on.
__device__ void place_tokens(const Work& w, int pair, Pair& barriers, const unsigned char* codes) {
  const int lane = threadIdx.x % 32;
  bool late = false;
  std::uint32_t phase = 0;
  each_token(w, pair, [&](int local, std::int64_t token) {
    const LowLatencyRank& mine = w.a.rank[local];
    const int rank = w.a.peers.first + local, top_k = w.a.shape.top_k;
    const std::int64_t choice = token * top_k + lane;
    int expert = lane < top_k ? mine.chosen[choice] : -1;
    int row = earlier(mine.chosen, token, top_k, expert);
    const int before = late ? -1 : rows_before(w, rank, expert);
    late = before < 0, row += before;
    if (lane < top_k) mine.rows[choice] = expert < 0 ? -1 : row;
    if (late) expert = -1;
    barriers.cast.wait(phase), phase ^= 1;
    put_row(w, expert, row, codes);
    let_next_kernel_start();
    bulk_wait_read<0>();
    __syncwarp();
    if (lane == 0) barrier_arrive(barriers.free.address());
    if (expert < 0) return;
    bulk_wait_all();
    add_release(&channel_of(w, expert / static_cast<int>(w.a.shape.experts_each())).arrived[rank], 1);
  });
}

/// The next row is on its way while one is cast and put.
__device__ void cast_tokens(const Work& w, int pair, Pair& barriers, unsigned char* x, unsigned char* codes) {
  const auto bytes = static_cast<std::uint32_t>(2 * w.a.shape.cols);
  const auto load = [&](int local, std::int64_t token) {
    if (threadIdx.x % 32 != 0) return;
    barriers.here.expect(bytes);
    bulk_load(x, w.a.rank[local].x + token * w.a.shape.cols, bytes, barriers.here);
  };
  std::uint32_t here = 0, free = 1;  // the first finds the codes' place free
  bool loaded = false;
  const auto cast_loaded = [&] {
    barriers.here.wait(here), here ^= 1;
    barriers.free.wait(free), free ^= 1;
    cast(w, x, codes);
    fence_for_tma();
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(barriers.cast.address());
  };
  each_token(w, pair, [&](int local, std::int64_t token) {
    if (loaded) cast_loaded();
    load(local, token), loaded = true;
  });
  if (loaded) cast_loaded();
}

/// Shared memory of a pair: the row as it comes, and its codes and scales.
__host__ __device__ std::int64_t pair_bytes(std::int64_t cols) { return 2 * cols + cols + cols / 32; }

__global__ __launch_bounds__(2 * kMostPairs * 32) void put(const __grid_constant__ Work w) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ int counts[kMostLowLatencyExperts];
  __shared__ Pair pairs[kMostPairs];
  if (threadIdx.x < kMostPairs)
    pairs[threadIdx.x].here.init(1), pairs[threadIdx.x].cast.init(1), pairs[threadIdx.x].free.init(1);
  barrier_init_fence();
  __syncthreads();
  const int warp = static_cast<int>(threadIdx.x) / 32, pair = warp % w.pairs;
  unsigned char *x = shared + pair * pair_bytes(w.a.shape.cols), *codes = x + 2 * w.a.shape.cols;
  if (warp >= w.pairs) return cast_tokens(w, pair, pairs[pair], x, codes);
  publish(w, counts);
  place_tokens(w, pair, pairs[pair], codes);
}

// ---- the reception: a block an expert ----

constexpr int kReceivers = 256, kGroups = 64;

/// Until all rows of all ranks are here; also this expert's rows. -1: some did not come. What is asked for at once: the
/// epoch with the notice of counts, the counts with the number of rows that have arrived.
__device__ int wait_for_rows(const Work& w, int rank, int expert) {
  LowLatencyChannel& own = channel_of(w, rank);
  const LowLatencyShape& s = w.a.shape;
  const auto each = static_cast<int>(s.experts_each()), first = rank * each;
  __shared__ int rows;
  if (threadIdx.x == 0) rows = 0;
  __syncthreads();
  bool counted = true, here = true;
  const unsigned long long epoch = own.epoch;
  for (int from = threadIdx.x / 32; from < s.ranks; from += kReceivers / 32) {
    counted = wait_for(&own.counted[from], epoch + 1, from, late_of(w, rank), w.timeout) && counted;
    const int* counts = own.counts[epoch % 2][from] + first;
    int due = 0, mine = 0;
    for (int e = threadIdx.x % 32; e < each; e += 32) {
      const int count = __ldcg(&counts[e]);
      due += count, mine += e == expert ? count : 0;
    }
    here = load_acquire(&own.arrived[from]) >= __reduce_add_sync(full_warp, static_cast<unsigned>(due)) && here;
    if (mine != 0) atomicAdd(&rows, mine);
  }
  if (__syncthreads_and(counted) == 0) return -1;  // not to blame ranks that gave up on the same one
  for (int from = threadIdx.x / 32; from < s.ranks && !here; from += kReceivers / 32) {
    unsigned due = 0;
    for (int e = threadIdx.x % 32; e < each; e += 32) due += __ldcg(&own.counts[epoch % 2][from][first + e]);
    due = __reduce_add_sync(full_warp, due);
    if (!wait_for(&own.arrived[from], due, from, late_of(w, rank), w.timeout)) break;
    here = from + kReceivers / 32 >= s.ranks;
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

/// The last block through makes the channel ready for its next epoch. `before`: thread 0's count.
__device__ void leave(const Work& w, int rank, unsigned before) {
  LowLatencyChannel& own = channel_of(w, rank);
  __shared__ bool last;
  if (threadIdx.x == 0) last = before + 1 == w.a.shape.experts_each();
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
  wait_for_previous_kernel();  // what it reads may still be in use
  unsigned before = 0;  // what the last block resets has been read; the count is on its way while scales are turned
  if (threadIdx.x == 0) w.a.rank[local].valid_rows[expert] = rows, before = count_through(&channel_of(w, rank).done);
  turn_scales(w, rank, expert, rows);
  leave(w, rank, before);
}

Work work_of(const LowLatencyArgs& a, const char* name) {
  check_low_latency(a, name);
  return {a, low_latency_window(a.shape), static_cast<unsigned long long>(a.timeout_s * 1e9)};
}

}  // namespace

void dispatch_low_latency(const LowLatencyArgs& a, const Launch& launch) {
  const char* name = "dispatch_low_latency";
  Work w = work_of(a, name);
  w.pairs = static_cast<int>(std::clamp<std::int64_t>(kPairsBytes / pair_bytes(a.shape.cols), 1, kMostPairs));
  for (int i = 0; i < a.peers.local; ++i)
    require(a.rank[i].tokens == 0 || (a.rank[i].x && aligned16(a.rank[i].x) && a.rank[i].chosen && a.rank[i].rows),
            name, "x (aligned to 16 bytes), chosen and rows of rank " + std::to_string(a.peers.first + i));
  launch_on_sms(put, w, launch.sms > 0 ? launch.sms : 132, 2 * w.pairs * 32,
                static_cast<int>(w.pairs * pair_bytes(a.shape.cols)), launch.stream, name);
}

void dispatch_low_latency_receive(const LowLatencyArgs& a, const Launch& launch) {
  const char* name = "dispatch_low_latency_receive";
  const Work w = work_of(a, name);
  for (int i = 0; i < a.peers.local; ++i) require(a.rank[i].valid_rows, name, "valid_rows of every rank");
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(a.peers.local * a.shape.experts_each()));
  config.blockDim = dim3(kReceivers), config.stream = launch.stream;
  config.attrs = &attribute, config.numAttrs = 1;
  cudaLaunchKernelEx(&config, receive, w);
  check_launch(name);
}

}  // namespace railcast::kernels
