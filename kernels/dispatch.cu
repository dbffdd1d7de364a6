#include "kernels/dispatch.hpp"

#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/exchange.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

// Roles of a block's warps: senders move rows (one bulk load, one bulk store a destination; lanes are destinations),
// writers the notes that describe them (one plain store of a warp a destination), the receiver waits for what the other
// ranks send here. An SM stores 32 bytes a cycle, whichever way; warps of their own keep the senders from pausing.
constexpr int kMostSenders = 8, kWriters = 8, kStages = 3, kHalves = kMostRanks / 32, kLaneScales = 4;
constexpr int kSenderBytes = 200 * 1024;  // of all senders and writers
constexpr int kShared = 16;               // one token of so many goes to whichever sender is free

struct Work {
  DispatchArgs a;
  Window window;
  unsigned long long timeout;
  int senders;
};

/// A warp's tokens: all ranks' tokens one after another are cut into a run for each block, and a run's tokens are dealt
/// to the warps of a role. The last of all, one of `shared` (0: none), go to whichever warp is free, since blocks have
/// more or fewer rows to send. An item is what one notice covers: up to `chunk` tokens of a block and rank.
class Turns {
 public:
  __device__ Turns(const Work& w, int warp, int warps, int shared) : w_(w), warps_(warps) {
    for (int l = 0; l < w.a.peers.local; ++l) all_ += w.a.rank[l].tokens;
    claimed_ = shared > 0 ? all_ - all_ / shared : all_;
    const std::int64_t begin = claimed_ * blockIdx.x / gridDim.x;
    end_ = claimed_ * (blockIdx.x + 1) / gridDim.x;
    at_ = begin + warp - warps;
  }
  __device__ bool next(int& local, int& item, std::int64_t& token) {
    at_ += warps_;
    if (at_ >= end_) {
      if (claimed_ == all_) return false;
      at_ = claim(), end_ = 0;
      if (at_ >= all_) return claimed_ = all_, false;
    }
    while (at_ >= first_ + w_.a.rank[local_].tokens) first_ += w_.a.rank[local_++].tokens;
    local = local_, token = at_ - first_;
    item = taken_ / static_cast<int>(w_.a.chunk) * kMostRanks + local_, taken_ += warps_;
    return true;
  }

 private:
  /// Each warp asks until it is told one past the end; the last to do so makes all ready for the next dispatch.
  __device__ std::int64_t claim() {
    int* claimed = &sync_of(w_.a.peers, w_.a.peers.first)->claimed;
    int mine = 0;
    if (threadIdx.x % 32 == 0) {
      mine = atomicAdd(claimed, 1);
      if (mine == all_ - claimed_ + std::int64_t{gridDim.x} * warps_ - 1) *claimed = 0;
    }
    return claimed_ + __shfl_sync(full_warp, mine, 0);
  }

  const Work& w_;
  int warps_, local_ = 0, taken_ = 0;
  std::int64_t all_ = 0, claimed_, end_, at_;  ///< from claimed_ on: for whoever is free
  std::int64_t first_ = 0;                     ///< of rank local_
};

/// What this warp has finished since its last notice; lane i's ranks are i, i + 32.
struct Notice {
  int local = -1, item = -1;
  int rows[kHalves] = {};

  /// After this lane's writes are complete.
  __device__ void give(const Work& w) {
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      const int d = h * 32 + threadIdx.x % 32;
      if (rows[h] > 0) add_release(&sync_of(w.a.peers, d)->arrived[w.a.peers.first + local], rows[h]);
      rows[h] = 0;
    }
  }
};

/// The token's place at each of this lane's ranks; -1: it does not go there.
__device__ __forceinline__ void places_for(const Work& w, int local, std::int64_t token, int (&place)[kHalves]) {
  const int ranks = w.a.shape.ranks;
#pragma unroll
  for (int h = 0; h < kHalves; ++h) {
    const int d = h * 32 + threadIdx.x % 32;
    place[h] = d < ranks ? w.a.rank[local].places[token * ranks + d] : -1;
  }
}
/// The row there.
__device__ __forceinline__ int row_at(const Work& w, const int* base, int local, int half, int place) {
  return base[local * w.a.shape.ranks + half * 32 + threadIdx.x % 32] + place;
}

// ---- senders ----

struct Sending {
  int local = -1, item = -1;
  int place[kHalves] = {-1, -1};  ///< loaded when the row is, first looked at when the row is here
};

class Sender {
 public:
  __device__ Sender(const Work& w, const int* base, unsigned char* stages, Barrier* full, int warp)
      : w_(w), base_(base), stages_(stages), full_(full), turns_(w, warp, w.senders, kShared) {}

  __device__ void run() {
    Sending queue[kStages];
#pragma unroll
    for (int s = 0; s + 1 < kStages; ++s) fetch(queue[s], s);
    for (std::uint32_t phase = 0;; phase ^= 1) {
#pragma unroll
      for (int s = 0; s < kStages; ++s) {
        if (queue[s].local < 0) return notify(-1, -1);
        if (queue[s].item != notice_.item) notify(queue[s].local, queue[s].item);
        full_[s].wait(phase);
        store(queue[s], s);
        bulk_wait_read<1>();  // the token before this one has left its stage
        __syncwarp();
        fetch(queue[(s + kStages - 1) % kStages], (s + kStages - 1) % kStages);
      }
    }
  }

 private:
  __device__ unsigned char* stage(int s) const { return stages_ + s * w_.a.shape.row_bytes; }

  __device__ __forceinline__ void fetch(Sending& next, int s) {
    next.local = -1;
    int local = 0;
    std::int64_t token = 0;
    if (!turns_.next(local, next.item, token)) return;
    next.local = local;
    const auto bytes = static_cast<std::uint32_t>(w_.a.shape.row_bytes);
    if (threadIdx.x % 32 == 0) {
      full_[s].expect(bytes);
      bulk_load(stage(s), static_cast<const char*>(w_.a.rank[local].x) + token * bytes, bytes, full_[s]);
    }
    places_for(w_, local, token, next.place);
  }

  __device__ __forceinline__ void store(const Sending& now, int s) {
    const std::int64_t bytes = w_.a.shape.row_bytes;
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      if (now.place[h] < 0) continue;
      const std::int64_t row = row_at(w_, base_, now.local, h, now.place[h]);
      char* to = w_.a.peers.window[h * 32 + threadIdx.x % 32] + w_.window.x + row * bytes;
      bulk_store(to, stage(s), static_cast<std::uint32_t>(bytes));
      ++notice_.rows[h];
    }
    bulk_commit();
  }

  __device__ void notify(int local, int item) {
    bulk_wait_all();
    notice_.give(w_);
    notice_.local = local, notice_.item = item;
  }

  const Work& w_;
  const int* base_;
  unsigned char* stages_;
  Barrier* full_;
  Turns turns_;
  Notice notice_;
};

// ---- writers ----

/// What describes a token, the same to every rank.
struct Note {
  int expert = -1;           ///< lane k: choice k's, counted over all ranks
  float weight = 0;          ///< lane k
  float scale[kLaneScales];  ///< lane i: groups i, i + 32 ..

  __device__ __forceinline__ void read(const Work& w, int local, std::int64_t token) {
    const DispatchRank& mine = w.a.rank[local];
    const ExchangeShape& s = w.a.shape;
    const int lane = threadIdx.x % 32;
    if (lane < s.top_k) {
      expert = mine.chosen[token * s.top_k + lane];
      weight = mine.weights != nullptr ? mine.weights[token * s.top_k + lane] : 0.0F;
    }
#pragma unroll
    for (int i = 0; i < kLaneScales; ++i)
      if (i * 32 + lane < s.groups)
        scale[i] = mine.scales[token * w.a.token_stride + (i * 32 + lane) * w.a.group_stride];
  }
  /// In the window's order: scales, weights, experts, source.
  __device__ __forceinline__ void write(const Work& w, std::int64_t token, unsigned char* to) const {
    const ExchangeShape& s = w.a.shape;
    const int lane = threadIdx.x % 32;
    auto* scales = reinterpret_cast<float*>(to);
#pragma unroll
    for (int i = 0; i < kLaneScales; ++i)
      if (i * 32 + lane < s.groups) scales[i * 32 + lane] = scale[i];
    auto* experts = reinterpret_cast<int*>(scales + s.groups + s.top_k);
    if (lane < s.top_k) scales[s.groups + lane] = weight, experts[lane] = expert;
    if (lane == 0) experts[s.top_k] = static_cast<int>(token);
  }
};

/// A token whose note is on its way here.
struct Writing {
  int local = 0, item = 0;
  std::int64_t token = 0;
  int place[kHalves];
  Note note;

  __device__ __forceinline__ bool fetch(const Work& w, Turns& turns) {
    if (!turns.next(local, item, token)) return false;
    note.read(w, local, token);
    places_for(w, local, token, place);
    return true;
  }
};

/// `shared` holds one note.
__device__ void write_all(const Work& w, const int* base, unsigned char* shared, int warp) {
  Turns turns(w, warp, kWriters, 0);
  Notice notice;
  const auto notify = [&] {
    __syncwarp();  // a release is cumulative: it is behind the other lanes' parts of notes too
    notice.give(w);
  };
  const auto store = [&](int d, std::int64_t row) {
    char* to = w.a.peers.window[d] + w.window.scales + row * w.window.note_pitch;
    for (int at = threadIdx.x % 32 * 16; at < w.window.note_bytes; at += 512)
      *reinterpret_cast<uint4*>(to + at) = *reinterpret_cast<const uint4*>(shared + at);
  };
  Writing now, next;
  for (bool more = now.fetch(w, turns); more; now = next) {
    more = next.fetch(w, turns);  // on its way while this one is written
    if (now.item != notice.item) notify(), notice.local = now.local, notice.item = now.item;
    now.note.write(w, now.token, shared);
    __syncwarp();
#pragma unroll
    for (int h = 0; h < kHalves; ++h) {
      notice.rows[h] += now.place[h] >= 0;
      const int row = now.place[h] >= 0 ? row_at(w, base, now.local, h, now.place[h]) : 0;
      for (unsigned to = __ballot_sync(full_warp, now.place[h] >= 0); to != 0; to &= to - 1)
        store(h * 32 + __ffs(to) - 1, __shfl_sync(full_warp, row, __ffs(to) - 1));
    }
    __syncwarp();
  }
  notify();
}

// ---- the receiver ----

__device__ void receive(const Work& w) {
  const int lane = threadIdx.x % 32;
  for (int l = static_cast<int>(blockIdx.x); l < w.a.peers.local; l += static_cast<int>(gridDim.x)) {
    const int rank = w.a.peers.first + l;
    ExchangeSync* own = sync_of(w.a.peers, rank);
    unsigned used = 0;
    for (int from = lane; from < w.a.shape.ranks; from += 32) {
      const int due = count_at(own, from, rank);
      wait_for(&own->arrived[from], 2ULL * static_cast<unsigned>(due), from, &own->late, w.timeout);
      used += static_cast<unsigned>(due);
    }
    used = __reduce_add_sync(full_warp, used);
    if (lane == 0 && w.a.rank[l].received != nullptr) *w.a.rank[l].received = static_cast<int>(used);
  }
}

__global__ __launch_bounds__((kMostSenders + kWriters + 1) * 32, 1) void send_rows(const __grid_constant__ Work w) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ Barrier full[kMostSenders][kStages];
  const std::int64_t stages = kStages * w.a.shape.row_bytes;  // of a sender
  unsigned char* notes = shared + w.senders * stages;
  int* base = reinterpret_cast<int*>(notes + kWriters * w.window.note_bytes);
  if (threadIdx.x < kMostSenders * kStages) full[threadIdx.x / kStages][threadIdx.x % kStages].init(1);
  barrier_init_fence();
  const bool all = wait_for_all(w.a.peers, w.a.shape.ranks, [&](int rank, int from) {
    ExchangeSync* own = sync_of(w.a.peers, rank);
    return wait_for(&own->counted[from], own->epoch, from, &own->late, w.timeout);
  });
  if (!all) return;
  fill_bases(w.a.peers, w.a.shape.ranks, base);
  const int warp = threadIdx.x / 32, writer = warp - w.senders;
  if (writer < 0) {
    Sender(w, base, shared + warp * stages, full[warp], warp).run();
  } else if (writer < kWriters) {
    write_all(w, base, notes + writer * w.window.note_bytes, writer);
  } else {
    receive(w);
  }
}

}  // namespace

void dispatch(const DispatchArgs& a, const Launch& launch) {
  const char* name = "dispatch";
  const Window window = window_of(a.shape);
  require(a.peers.first >= 0 && a.peers.local >= 1 && a.peers.first + a.peers.local <= a.shape.ranks, name,
          "ranks of this launch within the shape's");
  require(a.chunk >= 1 && a.chunk <= 1 << 20, name, "a chunk of 1 to 1048576 tokens, got " + std::to_string(a.chunk));
  require(a.shape.groups <= 32 * kLaneScales, name,
          "up to 128 groups of scales, got " + std::to_string(a.shape.groups));
  require(a.timeout_s > 0, name, "timeout_s above 0");
  for (int i = 0; i < a.peers.local; ++i) {
    const DispatchRank& r = a.rank[i];
    require(r.tokens == 0 || (r.x && aligned16(r.x) && r.chosen && r.places), name,
            "x (aligned to 16 bytes), chosen and places of rank " + std::to_string(a.peers.first + i));
    require(r.tokens == 0 || a.shape.groups == 0 || r.scales, name, "scales beside groups");
  }
  const auto stages = static_cast<int>(kStages * a.shape.row_bytes);
  const auto notes = static_cast<int>(kWriters * window.note_bytes);
  const Work w{a, window, static_cast<unsigned long long>(a.timeout_s * 1e9),
               std::clamp((kSenderBytes - notes) / stages, 1, kMostSenders)};
  launch_on_sms(send_rows, w, launch.sms > 0 ? launch.sms : 24, (w.senders + kWriters + 1) * 32,
                w.senders * stages + notes + a.peers.local * a.shape.ranks * 4, launch.stream, name);
}

}  // namespace railcast::kernels
