#include "kernels/combine.hpp"

#include <algorithm>

#include "kernels/exchange.cuh"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {
using namespace device;

// A warp adds up pieces of a token's rows that asynchronous loads put into its ring in shared memory: a stage is being
// added while the next is on its way. Each lane loads, and later reads, its own 16 bytes of every 512, so that nothing
// waits for other lanes. (Bulk copies cost an SM some 80 cycles each, too many for pieces of rows.)
constexpr int kWarps = 12, kStages = 2, kSlots = 16, kHalves = kMostRanks / 32;
constexpr int kSlotBytes = 512, kStageBytes = kSlots * kSlotBytes;

struct Work {
  CombineArgs a;
  Window window;
  unsigned long long timeout;
};

/// A part of a token's row.
struct Unit {
  int local = 0;
  std::int64_t token = 0, first = 0, end = 0;  ///< bytes of the row
};

/// A warp's units: all ranks' in turn, `chunk` bytes of a row each.
class Units {
 public:
  __device__ Units(const Work& w, int warp)
      : w_(w),
        parts_(static_cast<int>((w.a.shape.cols * 2 + w.a.chunk - 1) / w.a.chunk)),
        at_((static_cast<std::int64_t>(blockIdx.x) - gridDim.x) * kWarps + warp) {}
  __device__ bool next(Unit& u) {
    const std::int64_t all = w_.a.peers.local * w_.a.shape.tokens * parts_;
    while ((at_ += std::int64_t{gridDim.x} * kWarps) < all) {
      const auto row = static_cast<unsigned>(at_) / parts_;
      u.local = static_cast<int>(row % w_.a.peers.local), u.token = row / w_.a.peers.local;
      u.first = (at_ - row * parts_) * w_.a.chunk, u.end = min(u.first + w_.a.chunk, w_.a.shape.cols * 2);
      if (u.token < w_.a.rank[u.local].tokens) return true;
    }
    return false;
  }

 private:
  const Work& w_;
  unsigned parts_;
  std::int64_t at_;
};

/// Where a token's rows lie: lane i's ranks are i, i + 32; null: it did not go there.
struct Rows {
  const char* row[kHalves];

  __device__ __forceinline__ void find(const Work& w, const int* base, const Unit& u) {
    const int ranks = w.a.shape.ranks;
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      const int d = h * 32 + threadIdx.x % 32;
      const int place = d < ranks ? w.a.rank[u.local].places[u.token * ranks + d] : -1;
      row[h] = nullptr;
      if (place >= 0)
        row[h] = w.a.peers.window[d] + w.window.y +
                 static_cast<std::int64_t>(base[u.local * ranks + d] + place) * w.a.shape.cols * 2;
    }
  }
};

/// What a stage holds: `wide` times 512 bytes of each of some rows of a token.
struct Stage {
  char* out;
  std::int64_t left;  ///< bytes of the unit from this lane's first on
  int rows;           ///< -1: there is no more
  bool last;          ///< of the token's rows
};

/// Asks for one stage after another. `wide` x rows of a batch fill the slots.
template <int wide>
class Loader {
 public:
  static constexpr int kRows = kSlots / wide;
  __device__ Loader(const Work& w, const int* base, unsigned char* ring, int warp)
      : w_(w), base_(base), ring_(shared_address(ring)), units_(w, warp) {
    more_ = units_.next(next_);
    if (more_) later_.find(w_, base_, next_);
    begin_unit();
  }

  __device__ __forceinline__ Stage load(int stage) {
    Stage s{nullptr, 0, -1, true};
    if (here_) {
      if (fresh_) take();
      const std::int64_t left = now_.end - at_;
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        if (i >= count_) break;
#pragma unroll
        for (int j = 0; j < wide; ++j)
          if (left > j * kSlotBytes)
            load_async(ring_ + stage * kStageBytes + (i * wide + j) * kSlotBytes + threadIdx.x % 32 * 16,
                       from_[i] + at_ + j * kSlotBytes);
      }
      s = {reinterpret_cast<char*>(w_.a.rank[now_.local].out + now_.token * w_.a.shape.cols) + at_, left, count_,
           (left_[0] | left_[1]) == 0};
      advance(s.last);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    return s;
  }

 private:
  static __device__ __forceinline__ void load_async(std::uint32_t to, const char* from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  }
  /// The next unit becomes this one; the places of the one after it are on their way.
  __device__ __forceinline__ void begin_unit() {
    here_ = more_;
    if (!here_) return;
    now_ = next_, rows_ = later_;
    at_ = now_.first + threadIdx.x % 32 * 16;
#pragma unroll
    for (int h = 0; h < kHalves; ++h) left_[h] = all_[h] = __ballot_sync(full_warp, rows_.row[h] != nullptr);
    fresh_ = true;
    more_ = units_.next(next_);
    if (more_) later_.find(w_, base_, next_);
  }
  /// The next rows of the token, in the order of the ranks.
  __device__ __forceinline__ void take() {
    count_ = min(kRows, __popc(left_[0]) + __popc(left_[1]));
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const bool upper = left_[0] == 0;
      const unsigned mask = upper ? left_[1] : left_[0];
      const int lane = mask != 0 ? __ffs(mask) - 1 : 0;
      const char* mine = upper ? rows_.row[1] : rows_.row[0];
      from_[i] =
          reinterpret_cast<const char*>(__shfl_sync(full_warp, reinterpret_cast<unsigned long long>(mine), lane));
      left_[0] = upper ? 0 : mask & (mask - 1), left_[1] = upper ? mask & (mask - 1) : left_[1];
    }
    fresh_ = false;
  }
  __device__ __forceinline__ void advance(bool last) {
    if (!last) {
      fresh_ = true;
      return;
    }
    at_ += wide * kSlotBytes;
    if (at_ - threadIdx.x % 32 * 16 >= now_.end) return begin_unit();
    if (__popc(all_[0]) + __popc(all_[1]) <= kRows) return;  // the same rows again
    left_[0] = all_[0], left_[1] = all_[1], fresh_ = true;
  }

  const Work& w_;
  const int* base_;
  std::uint32_t ring_;
  Units units_;
  Unit now_, next_;
  Rows rows_, later_;
  bool here_ = false, more_ = false, fresh_ = false;
  unsigned all_[kHalves], left_[kHalves];
  int count_ = 0;
  const char* from_[kRows];
  std::int64_t at_ = 0;
};

/// The token's sums, which begin again.
template <int wide>
__device__ __forceinline__ void store(const Stage& stage, float (&sum)[wide][8]) {
#pragma unroll
  for (int j = 0; j < wide; ++j) {
    if (stage.left > j * kSlotBytes) store16(stage.out + j * kSlotBytes, pack8(sum[j]));
#pragma unroll
    for (int k = 0; k < 8; ++k) sum[j][k] = 0;
  }
}

template <int wide>
__device__ __forceinline__ void add_all(const Work& w, const int* base, unsigned char* ring, int warp) {
  Loader<wide> loader(w, base, ring, warp);
  Stage now = loader.load(0);
  float sum[wide][8] = {};
  static_assert(kStages == 2);
  for (int stage = 0; now.rows >= 0; stage ^= 1) {
    const Stage next = loader.load(stage ^ 1);
    asm volatile("cp.async.wait_group 1;" ::: "memory");
    const unsigned char* mine = ring + stage * kStageBytes + threadIdx.x % 32 * 16;
#pragma unroll
    for (int i = 0; i < kSlots / wide; ++i) {
      if (i >= now.rows) break;
#pragma unroll
      for (int j = 0; j < wide; ++j) {
        float x[8];
        unpack8(*reinterpret_cast<const uint4*>(mine + (i * wide + j) * kSlotBytes), x);
#pragma unroll
        for (int k = 0; k < 8; ++k) sum[j][k] += x[k];
      }
    }
    if (now.last) store(now, sum);
    now = next;
  }
}

/// Lane i: choice i % top_k of token i / top_k of a handful.
__device__ void return_weights(const Work& w, const int* base, int warp) {
  const ExchangeShape& s = w.a.shape;
  const int lane = threadIdx.x % 32, handful = 32 / s.top_k, each = static_cast<int>(s.experts / s.ranks);
  for (int l = 0; l < w.a.peers.local; ++l) {
    const CombineRank& mine = w.a.rank[l];
    if (mine.out_weights == nullptr || lane >= handful * s.top_k) continue;
    for (std::int64_t t = (std::int64_t{blockIdx.x} * kWarps + warp) * handful + lane / s.top_k; t < mine.tokens;
         t += std::int64_t{gridDim.x} * kWarps * handful) {
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

template <int wide>
__global__ __launch_bounds__(kWarps * 32, 1) void add_rows(const __grid_constant__ Work w) {
  extern __shared__ __align__(128) unsigned char shared[];
  int* base = reinterpret_cast<int*>(shared + kWarps * kStages * kStageBytes);
  if (blockIdx.x == 0) tell_ready(w);
  const bool all = wait_for_all(w.a.peers, w.a.shape.ranks, [&](int rank, int from) {
    ExchangeSync* own = sync_of(w.a.peers, rank);
    return wait_for(&own->ready[from], own->epoch, from, &own->late, w.timeout);
  });
  if (!all) return;
  fill_bases(w.a.peers, w.a.shape.ranks, base);
  add_all<wide>(w, base, shared + threadIdx.x / 32 * (kStages * kStageBytes), threadIdx.x / 32);
  return_weights(w, base, threadIdx.x / 32);
}

}  // namespace

void combine(const CombineArgs& a, const Launch& launch) {
  const char* name = "combine";
  const Work w{a, window_of(a.shape), static_cast<unsigned long long>(a.timeout_s * 1e9)};
  require(a.peers.first >= 0 && a.peers.local >= 1 && a.peers.first + a.peers.local <= a.shape.ranks, name,
          "ranks of this launch within the shape's");
  require(a.shape.cols > 0, name, "cols above 0: the shape keeps no room for rows to come back");
  require(a.timeout_s > 0, name, "timeout_s above 0");
  require(a.chunk >= 16 && a.chunk % 16 == 0, name, "a chunk that is a multiple of 16, got " + std::to_string(a.chunk));
  for (int i = 0; i < a.peers.local; ++i) {
    const CombineRank& r = a.rank[i];
    require(r.tokens == 0 || (r.places && r.out && aligned16(r.out)), name,
            "places and out (aligned to 16 bytes) of rank " + std::to_string(a.peers.first + i));
    require(r.tokens == 0 || r.out_weights == nullptr || r.chosen, name, "chosen beside out_weights");
  }
  require(a.peers.local * a.shape.tokens * ((a.shape.cols * 2 + a.chunk - 1) / a.chunk) < 1LL << 31, name,
          "a chunk that cuts all rows into fewer than 2^31 parts");
  const int rows = std::min(a.shape.ranks, a.shape.top_k);
  const auto kernel = rows <= 2 ? add_rows<8> : rows <= 4 ? add_rows<4> : add_rows<2>;
  launch_on_sms(kernel, w, launch.sms > 0 ? launch.sms : 24, kWarps * 32,
                kWarps * kStages * kStageBytes + a.peers.local * a.shape.ranks * 4, launch.stream, name);
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
