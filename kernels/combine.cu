#include "kernels/combine.hpp"

#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/exchange.cuh"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {
using namespace device;

// Roles of a block's warps: the fetcher brings pieces of all of a token's rows into a stage, reducers add them up and
// write, the last warp returns the values by choice.
constexpr int kReducers = 16, kMostStages = 32, kHalves = kMostRanks / 32;
constexpr int kStageBytes = 190 * 1024;

struct Work {
  CombineArgs a;
  Window window;
  unsigned long long timeout;
  int stages, stage_rows;  ///< a stage holds stage_rows pieces of `chunk` bytes
};

/// What a stage holds.
struct Piece {
  Bf16* out;
  int rows;   ///< -1: no more work
  int bytes;  ///< of each row
};

struct Stages {
  Barrier full[kMostStages], empty[kMostStages];
  Piece piece[kMostStages];
};

/// This block's tokens, those of all ranks dealt out in turn.
struct Tokens {
  std::int64_t at;
  int local = 0;
  std::int64_t token = 0;

  __device__ explicit Tokens(std::int64_t start) : at(start) {}
  __device__ bool next(const Work& w, std::int64_t step) {
    for (at += step; at < w.a.peers.local * w.a.shape.tokens; at += step) {
      local = static_cast<int>(at % w.a.peers.local), token = at / w.a.peers.local;
      if (token < w.a.rank[local].tokens) return true;
    }
    return false;
  }
};

// ---- the fetcher ----

class Fetcher {
 public:
  __device__ Fetcher(const Work& w, const int* base, unsigned char* shared, Stages& stages)
      : w_(w), base_(base), shared_(shared), stages_(stages) {}

  __device__ void run() {
    Tokens now(static_cast<std::int64_t>(blockIdx.x) - gridDim.x);
    bool more = now.next(w_, gridDim.x);
    int place[kHalves], later[kHalves];
    if (more) find(now, place);
    while (more) {
      Tokens then = now;
      more = then.next(w_, gridDim.x);
      if (more) find(then, later);  // on their way while this token's rows are fetched
      fetch(now, place);
      now = then;
#pragma unroll
      for (int h = 0; h < kHalves; ++h) place[h] = later[h];
    }
    for (int i = 0; i < kReducers; ++i) put({nullptr, -1, 0}, 0);
  }

 private:
  /// The token's place at each of this lane's ranks; -1: it did not go there.
  __device__ __forceinline__ void find(const Tokens& t, int (&place)[kHalves]) const {
    const int ranks = w_.a.shape.ranks;
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      const int d = h * 32 + threadIdx.x % 32;
      place[h] = d < ranks ? w_.a.rank[t.local].places[t.token * ranks + d] : -1;
    }
  }
  __device__ __forceinline__ const char* row_of(const Tokens& t, int half, int place) const {
    const int d = half * 32 + threadIdx.x % 32;
    if (place < 0) return nullptr;
    const std::int64_t row = base_[t.local * w_.a.shape.ranks + d] + place;
    return w_.a.peers.window[d] + w_.window.y + row * w_.a.shape.cols * 2;
  }

  __device__ void fetch(const Tokens& t, const int (&place)[kHalves]) {
    const char* row[kHalves];
#pragma unroll
    for (int h = 0; h < kHalves; ++h) row[h] = row_of(t, h, place[h]);
    const unsigned lower = (1U << threadIdx.x % 32) - 1;
    unsigned have[kHalves];
#pragma unroll
    for (int h = 0; h < kHalves; ++h) have[h] = __ballot_sync(full_warp, row[h] != nullptr);
    const int rows = __popc(have[0]) + __popc(have[1]);
    Bf16* out = w_.a.rank[t.local].out + t.token * w_.a.shape.cols;
    const std::int64_t all = w_.a.shape.cols * 2;
    for (std::int64_t first = 0; first < all; first += w_.a.chunk) {
      const auto bytes = static_cast<int>(min(w_.a.chunk, all - first));
      const int s = put({out + first / 2, rows, bytes}, rows * bytes);
      unsigned char* to = shared_ + static_cast<std::int64_t>(s) * w_.stage_rows * w_.a.chunk;
#pragma unroll
      for (int h = 0; h < kHalves; ++h)
        if (row[h] != nullptr)
          bulk_load(to + ((h == 1 ? __popc(have[0]) : 0) + __popc(have[h] & lower)) * w_.a.chunk, row[h] + first,
                    static_cast<std::uint32_t>(bytes), stages_.full[s]);
    }
  }

  /// The next stage, once it is free, told what it will hold.
  __device__ int put(const Piece& piece, int bytes) {
    const int s = next_ % w_.stages;
    stages_.empty[s].wait(next_ / w_.stages % 2 ^ 1);
    if (threadIdx.x % 32 == 0) {
      stages_.piece[s] = piece;
      stages_.full[s].expect(static_cast<std::uint32_t>(bytes));
    }
    __syncwarp();
    ++next_;
    return s;
  }

  const Work& w_;
  const int* base_;
  unsigned char* shared_;
  Stages& stages_;
  unsigned next_ = 0;
};

// ---- reducers ----

__device__ void add_up(const Piece& piece, const unsigned char* stage, std::int64_t pitch) {
  for (int at = threadIdx.x % 32 * 16; at < piece.bytes; at += 512) {
    float sum[8] = {};
#pragma unroll 4
    for (int r = 0; r < piece.rows; ++r) {
      float x[8];
      unpack8(*reinterpret_cast<const uint4*>(stage + r * pitch + at), x);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum[i] += x[i];
    }
    store16(reinterpret_cast<char*>(piece.out) + at, pack8(sum));
  }
}

__device__ void reduce(const Work& w, const unsigned char* shared, Stages& stages, int warp) {
  for (unsigned turn = warp;; turn += kReducers) {
    const int s = turn % w.stages;
    stages.full[s].wait(turn / w.stages % 2);
    const Piece piece = stages.piece[s];
    if (piece.rows >= 0) add_up(piece, shared + static_cast<std::int64_t>(s) * w.stage_rows * w.a.chunk, w.a.chunk);
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(stages.empty[s].address());
    if (piece.rows < 0) return;
  }
}

/// Lane i: choice i % top_k of token i / top_k of a handful.
__device__ void return_weights(const Work& w, const int* base) {
  const ExchangeShape& s = w.a.shape;
  const int lane = threadIdx.x % 32, handful = 32 / s.top_k, each = static_cast<int>(s.experts / s.ranks);
  for (int l = 0; l < w.a.peers.local; ++l) {
    const CombineRank& mine = w.a.rank[l];
    if (mine.out_weights == nullptr || lane >= handful * s.top_k) continue;
    for (std::int64_t t = std::int64_t{blockIdx.x} * handful + lane / s.top_k; t < mine.tokens;
         t += std::int64_t{gridDim.x} * handful) {
      const std::int64_t at = t * s.top_k + lane % s.top_k;
      const int expert = mine.chosen[at];
      float value = 0;
      if (expert >= 0) {
        const int d = expert / each;
        const std::int64_t row = base[l * s.ranks + d] + mine.places[t * s.ranks + d];
        value = __ldcg(in_window<float>(w.a.peers, d, w.window.y_weights) + row * s.top_k + lane % s.top_k);
      }
      mine.out_weights[at] = value;
    }
  }
}

/// Every rank served here tells all others that its rows are there.
__device__ void tell_ready(const Work& w) {
  const int ranks = w.a.shape.ranks;
  for (int i = threadIdx.x; i < w.a.peers.local * ranks; i += blockDim.x) {
    const int rank = w.a.peers.first + i / ranks;
    store_release(&sync_of(w.a.peers, i % ranks)->ready[rank], sync_of(w.a.peers, rank)->epoch);
  }
}

__global__ __launch_bounds__((kReducers + 2) * 32, 1) void add_rows(const __grid_constant__ Work w) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ Stages stages;
  int* base = reinterpret_cast<int*>(shared + static_cast<std::int64_t>(w.stages) * w.stage_rows * w.a.chunk);
  if (threadIdx.x < kMostStages) stages.full[threadIdx.x].init(1), stages.empty[threadIdx.x].init(1);
  barrier_init_fence();
  if (blockIdx.x == 0) tell_ready(w);
  const bool all = wait_for_all(w.a.peers, w.a.shape.ranks, [&](int rank, int from) {
    ExchangeSync* own = sync_of(w.a.peers, rank);
    return wait_for(&own->ready[from], own->epoch, from, &own->late, w.timeout);
  });
  if (!all) return;
  bulk_sees_stores();
  fill_bases(w.a.peers, w.a.shape.ranks, base);
  const int warp = threadIdx.x / 32;
  if (warp == 0)
    Fetcher(w, base, shared, stages).run();
  else if (warp <= kReducers)
    reduce(w, shared, stages, warp - 1);
  else
    return_weights(w, base);
}

}  // namespace

void combine(const CombineArgs& a, const Launch& launch) {
  const char* name = "combine";
  Work w{a, window_of(a.shape), static_cast<unsigned long long>(a.timeout_s * 1e9), 0, 0};
  require(a.peers.first >= 0 && a.peers.local >= 1 && a.peers.first + a.peers.local <= a.shape.ranks, name,
          "ranks of this launch within the shape's");
  require(a.shape.cols > 0, name, "cols above 0: the shape keeps no room for rows to come back");
  require(a.timeout_s > 0, name, "timeout_s above 0");
  w.stage_rows = std::min(a.shape.ranks, a.shape.top_k);
  require(a.chunk >= 16 && a.chunk % 16 == 0 && w.stage_rows * a.chunk * 2 <= kStageBytes, name,
          "a chunk that is a multiple of 16, two of whose stages of " + std::to_string(w.stage_rows) +
              " rows fit in 190 KiB, got " + std::to_string(a.chunk));
  for (int i = 0; i < a.peers.local; ++i) {
    const CombineRank& r = a.rank[i];
    require(r.tokens == 0 || (r.places && r.out && aligned16(r.out)), name,
            "places and out (aligned to 16 bytes) of rank " + std::to_string(a.peers.first + i));
    require(r.out_weights == nullptr || r.chosen, name, "chosen beside out_weights");
  }
  w.stages = static_cast<int>(std::min<std::int64_t>(kMostStages, kStageBytes / (w.stage_rows * a.chunk)));
  const auto shared = static_cast<int>(w.stages * w.stage_rows * a.chunk + a.peers.local * a.shape.ranks * 4);
  launch_on_sms(add_rows, w, launch.sms > 0 ? launch.sms : 24, (kReducers + 2) * 32, shared, launch.stream, name);
}

void throw_if_late(const Peers& peers, const char* kernel) {
  throw_unless(cudaDeviceSynchronize(), kernel);
  for (int i = 0; i < peers.local; ++i) {
    int late = 0;
    throw_unless(cudaMemcpy(&late, peers.window[peers.first + i], sizeof late, cudaMemcpyDeviceToHost),
                 "reading a window");
    if (late == 0) continue;
    throw KernelError(Fault::launch, std::string(kernel) + ": rank " + std::to_string(late - 1) +
                                         " had not arrived when rank " + std::to_string(peers.first + i) +
                                         " gave up waiting; raise timeout_s if it is only slow");
  }
}

}  // namespace railcast::kernels
