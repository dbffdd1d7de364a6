// Split K: the CTAs of a cluster have each a part of the sums of one tile. Each owns a share of the pieces (8 columns
// of a thread's rows r and r + 8): all push their parts of a piece into its owner's shared memory, which counts the
// bytes that arrive, adds them up in rank order, so that the result is the same in every run, and stores them.
#pragma once
#include <algorithm>

#include "kernels/epilogue.cuh"

namespace railcast::kernels {

/// Sixteen bytes to the shared memory of any CTA of the cluster (`address_in`), counted by a barrier there.
__device__ inline void push(std::uint32_t remote, float a, float b, float c, float d, std::uint32_t remote_barrier) {
  asm volatile(
      "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(remote),
      "f"(a), "f"(b), "f"(c), "f"(d), "r"(remote_barrier)
      : "memory");
}
/// Waits for the first phase, and for what other CTAs wrote before they completed it.
__device__ inline void barrier_wait_cluster(std::uint32_t barrier) {
  asm volatile(
      "{\n.reg .pred done;\nAGAIN:\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], 0;\n"
      "@done bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(barrier)
      : "memory");
}

/// Which pieces a CTA owns.
struct Share {
  int begin, end;
  __device__ Share(const GemmParams& p, int pieces, int rank)
      : begin(p.by_split.by(rank * pieces)), end(p.by_split.by((rank + 1) * pieces)) {}
};

/// Four pieces from `first` on (those below `end`) to D: a transpose within each quad of lanes makes of them rows of 8
/// columns. Neighbours are swapped in `totals`.
template <class C>
__device__ void store_added(const GemmParams& p, const Work& w, const Lane& me, int first, int end,
                            const float4 (&totals)[4]) {
  constexpr int kEights = C::kColumns / 8;
  const int piece = first + me.lane % 4, column = w.column + piece % kEights * 8;
  const int row = w.row + (piece / kEights * C::kGroups + me.group) * kBand + me.row;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    std::uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) words[i] = half == 0 ? pack(totals[i].y, totals[i].x) : pack(totals[i].w, totals[i].z);
    transpose_quad(words, me.lane);
    if (piece < end && row + 8 * half < w.limit && column < p.n)
      *reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(p.d) + static_cast<std::int64_t>(row + 8 * half) * p.n +
                                column) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// Room, in pieces, for the parts of all CTAs; a cluster has at most 8.
constexpr int most_parts(int pieces) {
  int most = 0;
  for (int split = 2; split <= 8; ++split) most = std::max(most, (pieces + split - 1) / split * split);
  return most;
}

/// buffer: where parts arrive, in memory that nobody uses once all CTAs of the cluster have `drained` their rings;
/// `arrived` counts the bytes from others. Neighbours are laid down in the order 1, 0, 3, 2: the store wants them in
/// consecutive registers, and in this order a sum sits in the other register bank than its product, so that no fused
/// multiply-add of the promotion reads three registers of one.
template <class C>
__device__ void add_up_cluster(const GemmParams& p, const Work& w, std::uint32_t buffer, std::uint32_t drained,
                               std::uint32_t arrived, const Lane& me, int rank,
                               const float (&sum)[C::kBands][C::kColumns / 2]) {
  constexpr int kEights = C::kColumns / 8, kPieces = C::kBands * kEights, kPieceBytes = C::kGroups * 128 * 16;
  static_assert(most_parts(kPieces) * kPieceBytes <= C::kStages * (C::kABytes + C::kBBytes));
  const Share own(p, kPieces, rank);
  const std::uint32_t mine = buffer + threadIdx.x * 16;
  const int from_one = p.by_split.by(kPieces + p.split - 1) * kPieceBytes;  // room for the parts of one CTA
  cluster_wait();
  if (threadIdx.x == 0) barrier_expect(arrived, (own.end - own.begin) * (p.split - 1) * kPieceBytes);
  __syncwarp();
  if (me.lane < p.split) barrier_arrive_at(address_in(drained, me.lane));
  barrier_wait_cluster(drained);
  for (int turn = 1; turn < p.split; ++turn) {  // each begins with another owner
    const int owner = rank + turn < p.split ? rank + turn : rank + turn - p.split;
    const Share theirs(p, kPieces, owner);
    const std::uint32_t to = address_in(mine + rank * from_one, owner), barrier = address_in(arrived, owner);
#pragma unroll
    for (int u = 0; u < kPieces; ++u) {
      const float* s = &sum[u / kEights][u % kEights * 4];
      if (u >= theirs.begin && u < theirs.end)
        push(to + (u - theirs.begin) * kPieceBytes, s[1], s[0], s[3], s[2], barrier);
    }
  }
#pragma unroll
  for (int u = 0; u < kPieces; ++u) {
    const float* s = &sum[u / kEights][u % kEights * 4];
    if (u >= own.begin && u < own.end)
      asm volatile(
          "st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(mine + rank * from_one + (u - own.begin) * kPieceBytes),
          "f"(s[1]), "f"(s[0]), "f"(s[3]), "f"(s[2])
          : "memory");
  }
  barrier_wait_cluster(arrived);
  for (int first = own.begin; first < own.end; first += 4) {
    float4 totals[4];
    for (int r = 0; r < p.split; ++r) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float4 x = load_four(mine + r * from_one + (min(first + i, own.end - 1) - own.begin) * kPieceBytes);
        if (r == 0) {
          totals[i] = x;
        } else {
          totals[i].x += x.x, totals[i].y += x.y, totals[i].z += x.z, totals[i].w += x.w;
        }
      }
    }
    store_added<C>(p, w, me, first, own.end, totals);
  }
}

}  // namespace railcast::kernels
