#include "kernels/exchange.cuh"
#include "kernels/low_latency.hpp"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kWarps = 16, kBatch = 8, kPiece = 512;  // a warp adds up 512 columns of a token, eight rows at a time

struct Work {
  LowLatencyArgs a;
  LowLatencyWindow window;
  unsigned long long timeout;
};

__device__ __forceinline__ LowLatencySync* low_latency_sync(const Work& w, int rank) {
  return reinterpret_cast<LowLatencySync*>(w.a.peers.window[rank]);
}

__global__ void tell_ready(const __grid_constant__ Work w) {
  const int ranks = w.a.shape.ranks;
  for (int i = threadIdx.x; i < w.a.peers.local * ranks; i += blockDim.x) {
    const int rank = w.a.peers.first + i / ranks;
    store_release(&low_latency_sync(w, i % ranks)->channel[w.a.buffer].ready[rank],
                  low_latency_sync(w, rank)->channel[w.a.buffer].epoch);
  }
}

/// Another GPU may have written it while this kernel ran: not through the read-only path.
__device__ __forceinline__ uint4 load_fresh(const void* p) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p)
               : "memory");
  return v;
}

/// Lane k's choice: where its row lies (null: nowhere) and its weight.
struct Choice {
  const char* row = nullptr;
  float weight = 0;
};

__device__ Choice choice_of(const Work& w, int local, std::int64_t token) {
  const LowLatencyShape& s = w.a.shape;
  const LowLatencyRank& mine = w.a.rank[local];
  const int lane = threadIdx.x % 32;
  if (lane >= s.top_k) return {};
  const std::int64_t at = token * s.top_k + lane;
  const int expert = mine.chosen[at];
  if (expert < 0) return {};
  const std::int64_t row = expert % s.experts_each() * s.rows() + mine.rows[at];
  return {w.a.peers.window[expert / s.experts_each()] + w.window.y[w.a.buffer] + row * s.cols * 2, mine.weights[at]};
}

/// Rows of up to eight choices from `first_k` on, added to `sum`: 16 columns a lane.
__device__ __forceinline__ void add(const Choice& mine, int first_k, int top_k, std::int64_t column,
                                    float (&sum)[2][8]) {
  uint4 v[kBatch][2] = {};
  float weight[kBatch];
#pragma unroll
  for (int i = 0; i < kBatch; ++i) {
    const int k = min(first_k + i, 31);
    const auto address = __shfl_sync(full_warp, reinterpret_cast<unsigned long long>(mine.row), k);
    weight[i] = __shfl_sync(full_warp, mine.weight, k);
    if (first_k + i >= top_k || address == 0) continue;
    const char* row = reinterpret_cast<const char*>(address) + column * 2;
    v[i][0] = load_fresh(row), v[i][1] = load_fresh(row + 512);
  }
#pragma unroll
  for (int i = 0; i < kBatch; ++i) {
    if (first_k + i >= top_k) break;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float x[8];
      unpack8(v[i][half], x);
#pragma unroll
      for (int j = 0; j < 8; ++j) sum[half][j] += weight[i] * x[j];
    }
  }
}

__global__ __launch_bounds__(kWarps * 32, 1) void fetch(const __grid_constant__ Work w) {
  const LowLatencyShape& s = w.a.shape;
  const bool all = wait_for_all(w.a.peers, s.ranks, [&](int rank, int from) {
    LowLatencySync* own = low_latency_sync(w, rank);
    const LowLatencyChannel& channel = own->channel[w.a.buffer];
    return wait_for(&channel.ready[from], channel.epoch, from, &own->late, w.timeout);
  });
  if (!all) return;
  const std::int64_t pieces = s.cols / kPiece, units = w.a.peers.local * s.tokens * pieces;
  for (std::int64_t u = blockIdx.x * std::int64_t{kWarps} + threadIdx.x / 32; u < units;
       u += std::int64_t{gridDim.x} * kWarps) {
    const auto local = static_cast<int>(u / pieces % w.a.peers.local);
    const std::int64_t token = u / pieces / w.a.peers.local;
    if (token >= w.a.rank[local].tokens) continue;
    const std::int64_t column = u % pieces * kPiece + threadIdx.x % 32 * 8;
    const Choice mine = choice_of(w, local, token);
    float sum[2][8] = {};
    for (int k = 0; k < s.top_k; k += kBatch) add(mine, k, s.top_k, column, sum);
    Bf16* out = w.a.rank[local].out + token * s.cols + column;
    store16(out, pack8(sum[0])), store16(out + 256, pack8(sum[1]));
  }
}

Work work_of(const LowLatencyArgs& a, const char* name) {
  check_low_latency(a, name);
  return {a, low_latency_window(a.shape), static_cast<unsigned long long>(a.timeout_s * 1e9)};
}

}  // namespace

void check_low_latency(const LowLatencyArgs& a, const char* name) {
  require(a.peers.first >= 0 && a.peers.local >= 1 && a.peers.first + a.peers.local <= a.shape.ranks, name,
          "ranks of this launch within the shape's");
  require(a.buffer == 0 || a.buffer == 1, name, "buffer 0 or 1, got " + std::to_string(a.buffer));
  require(a.timeout_s > 0, name, "timeout_s above 0");
  for (int i = 0; i < a.peers.local; ++i)
    require(a.rank[i].tokens >= 0 && a.rank[i].tokens <= a.shape.tokens, name,
            "rank " + std::to_string(a.peers.first + i) + " to send 0 to " + std::to_string(a.shape.tokens) +
                " tokens, got " + std::to_string(a.rank[i].tokens));
}

void combine_low_latency(const LowLatencyArgs& a, const Launch& launch) {
  tell_ready<<<1, 256, 0, launch.stream>>>(work_of(a, "combine_low_latency"));
  check_launch("combine_low_latency");
}

void combine_low_latency_receive(const LowLatencyArgs& a, const Launch& launch) {
  const char* name = "combine_low_latency_receive";
  const Work w = work_of(a, name);
  for (int i = 0; i < a.peers.local; ++i) {
    const LowLatencyRank& r = a.rank[i];
    require(r.tokens == 0 || (r.chosen && r.rows && r.weights && r.out && aligned16(r.out)), name,
            "chosen, rows, weights and out (aligned to 16 bytes) of rank " + std::to_string(a.peers.first + i));
  }
  launch_on_sms(fetch, w, launch.sms > 0 ? launch.sms : 132, kWarps * 32, 0, launch.stream, name);
}

}  // namespace railcast::kernels
