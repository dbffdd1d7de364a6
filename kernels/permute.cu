#include "kernels/permute.hpp"

#include <algorithm>

#include "kernels/bulk.cuh"
#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

// ---- the map: counts of every chunk of choices, then places
// ------------------------------------------------------------
constexpr int kMapThreads = 256, kMapWarps = kMapThreads / 32, kMostExperts = 512;
constexpr int kWarpShare = static_cast<int>(kMapChunk) / kMapWarps;  // consecutive choices of a warp

/// The choice's expert counted on this rank; -1: it is another's, or none.
__device__ __forceinline__ int expert_of(const PermuteMapArgs& a, std::int64_t choice) {
  const auto top_k = static_cast<unsigned>(a.top_k), token = static_cast<unsigned>(choice) / top_k;
  if (a.used != nullptr && static_cast<int>(token) >= __ldg(a.used)) return -1;
  const std::int64_t e =
      a.chosen[token * a.chosen_stride + (static_cast<unsigned>(choice) - token * top_k)] - a.first_expert;
  return e >= 0 && e < a.experts ? static_cast<int>(e) : -1;
}

__global__ __launch_bounds__(kMapThreads) void count_chunk(const PermuteMapArgs a) {
  __shared__ int count[kMostExperts];
  for (int e = threadIdx.x; e < a.experts; e += kMapThreads) count[e] = 0;
  __syncthreads();
  const std::int64_t choices = a.tokens * a.top_k;
  for (std::int64_t i = blockIdx.x * kMapChunk + threadIdx.x; i < min(choices, (blockIdx.x + 1) * kMapChunk);
       i += kMapThreads) {
    const int e = expert_of(a, i);
    if (e >= 0) atomicAdd(&count[e], 1);
  }
  __syncthreads();
  for (int e = threadIdx.x; e < a.experts; e += kMapThreads) a.scratch[blockIdx.x * a.experts + e] = count[e];
}

struct Places {
  int total[kMostExperts];            ///< choices of the expert, all chunks
  int start[kMostExperts + 1];        ///< first row of the expert
  int next[kMapWarps][kMostExperts];  ///< counts, then the next row, of each warp's share
};

/// Sums over the chunks before this one (returned in `before`) and over all (in places.total).
__device__ void sum_chunks(const PermuteMapArgs& a, Places& p, int (&before)[2]) {
  for (int part = 0; part < 2; ++part) {
    const int e = part * kMapThreads + threadIdx.x;
    if (e >= a.experts) continue;
    int earlier = 0, all = 0;
#pragma unroll 8
    for (int c = 0; c < static_cast<int>(gridDim.x); ++c) {
      const int n = a.scratch[c * a.experts + e];
      all += n;
      earlier += c < static_cast<int>(blockIdx.x) ? n : 0;
    }
    before[part] = earlier;
    p.total[e] = all;
  }
}

/// start[e] from total[e]: the first warp scans 32 experts at a time.
__device__ void pad_and_scan(const PermuteMapArgs& a, Places& p) {
  if (threadIdx.x >= 32) return;
  int carried = 0;
  for (int first = 0; first < a.experts; first += 32) {
    const int e = first + threadIdx.x;
    const int rows = e < a.experts ? (p.total[e] + kRowAlignment - 1) / kRowAlignment * kRowAlignment : 0;
    int sum = rows;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const int below = __shfl_up_sync(full_warp, sum, step);
      if (threadIdx.x >= step) sum += below;
    }
    if (e < a.experts) p.start[e] = carried + sum - rows;
    carried += __shfl_sync(full_warp, sum, 31);
  }
  if (threadIdx.x == 0) p.start[a.experts] = carried;
}

/// Counts of this warp's share, in order of its rounds.
__device__ void count_share(const PermuteMapArgs& a, std::int64_t first, int* count) {
  for (int i = threadIdx.x % 32; i < kWarpShare; i += 32) {
    const int e = first + i < a.tokens * a.top_k ? expert_of(a, first + i) : -1;
    const unsigned same = __match_any_sync(full_warp, e);
    if (e >= 0 && __ffs(same) - 1 == static_cast<int>(threadIdx.x % 32)) count[e] += __popc(same);
    __syncwarp();
  }
}
__device__ void place_share(const PermuteMapArgs& a, std::int64_t first, int* next) {
  const int lane = threadIdx.x % 32;
  for (int i = lane; i < kWarpShare; i += 32) {
    const std::int64_t choice = first + i;
    const int e = choice < a.tokens * a.top_k ? expert_of(a, choice) : -1;
    const unsigned same = __match_any_sync(full_warp, e);
    const int row = e >= 0 ? next[e] + __popc(same & ((1U << lane) - 1)) : -1;
    __syncwarp();
    if (e >= 0 && __ffs(same) - 1 == lane) next[e] += __popc(same);
    __syncwarp();
    const bool fits = row >= 0 && row < a.rows;
    if (choice < a.tokens * a.top_k) a.row_of[choice] = fits ? row : -1;
    if (fits) a.choice_of[row] = static_cast<int>(choice);
  }
}

/// This block's part of what does not hang on a choice: padding, the blocks' experts, the offsets.
__device__ void fill_rest(const PermuteMapArgs& a, const Places& p) {
  for (int e = blockIdx.x; e < a.experts; e += gridDim.x) {
    for (int row = p.start[e] + p.total[e] + threadIdx.x; row < min(static_cast<std::int64_t>(p.start[e + 1]), a.rows);
         row += kMapThreads)
      a.choice_of[row] = -1;
    for (int b = p.start[e] / kRowAlignment + threadIdx.x;
         b < min(static_cast<std::int64_t>(p.start[e + 1]), a.rows) / kRowAlignment; b += kMapThreads)
      a.block_group[b] = e;
    if (threadIdx.x == 0) a.offsets[e] = p.start[e];
  }
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kMapThreads;
  const std::int64_t first = blockIdx.x * static_cast<std::int64_t>(kMapThreads) + threadIdx.x,
                     end = p.start[a.experts];
  for (std::int64_t row = end + first; row < a.rows; row += stride) a.choice_of[row] = -1;
  for (std::int64_t b = end / kRowAlignment + first; b < a.rows / kRowAlignment; b += stride) a.block_group[b] = -1;
  if (first == 0) a.offsets[a.experts] = static_cast<int>(end);
}

__global__ __launch_bounds__(kMapThreads) void place_chunk(const PermuteMapArgs a) {
  __shared__ Places p;
  const int warp = threadIdx.x / 32;
  int before[2] = {};
  sum_chunks(a, p, before);
  for (int e = threadIdx.x % 32; e < a.experts; e += 32) p.next[warp][e] = 0;
  __syncthreads();
  const std::int64_t first = blockIdx.x * kMapChunk + warp * kWarpShare;
  count_share(a, first, p.next[warp]);
  pad_and_scan(a, p);
  __syncthreads();
  for (int part = 0; part < 2; ++part) {
    const int e = part * kMapThreads + threadIdx.x;
    if (e >= a.experts) continue;
    int row = p.start[e] + before[part];
    for (int w = 0; w < kMapWarps; ++w) {
      const int n = p.next[w][e];
      p.next[w][e] = row;
      row += n;
    }
  }
  __syncthreads();
  place_share(a, first, p.next[warp]);
  fill_rest(a, p);
}

// ---- the copy: a warp reads a token's row once and stores it to all its places
// -----------------------------------------
constexpr int kCopyStages = 3, kMostCopyWarps = 8;
constexpr std::int64_t kCopyBytes = 208 * 1024;

struct CopyRing {
  Barrier full[kMostCopyWarps][kCopyStages];
};

__global__ __launch_bounds__(kMostCopyWarps * 32, 1) void copy_rows(const PermuteArgs a) {
  extern __shared__ __align__(128) unsigned char stages[];
  __shared__ CopyRing ring;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
  const auto bytes = static_cast<std::uint32_t>(a.row_bytes);
  unsigned char* mine = stages + static_cast<std::int64_t>(warp) * kCopyStages * a.row_bytes;
  Barrier* full = ring.full[warp];
  if (lane == 0) {
    for (int s = 0; s < kCopyStages; ++s) full[s].init(1);
    barrier_init_fence();
  }
  __syncwarp();
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * warps;
  const std::int64_t tokens = a.used != nullptr ? min(a.tokens, std::int64_t{__ldg(a.used)}) : a.tokens;
  std::int64_t token = static_cast<std::int64_t>(warp) * gridDim.x + blockIdx.x;
  const auto fetch = [&](std::int64_t t, int s) {
    if (lane != 0 || t >= tokens) return;
    full[s].expect(bytes);
    bulk_load(mine + static_cast<std::int64_t>(s) * bytes, static_cast<const char*>(a.x) + t * a.row_bytes, bytes,
              full[s]);
  };
  for (int s = 0; s + 1 < kCopyStages; ++s) fetch(token + s * stride, s);
  int stage = 0;
  std::uint32_t phase = 0;
  for (; token < tokens; token += stride) {
    const int row = lane < a.top_k ? a.row_of[token * a.top_k + lane] : -1;
    full[stage].wait(phase);
    if (row >= 0)
      bulk_store(static_cast<char*>(a.out) + row * a.row_bytes, mine + static_cast<std::int64_t>(stage) * bytes, bytes);
    bulk_commit();
    bulk_wait_read<1>();  // the row before this one has left its stage
    __syncwarp();
    const int free = stage == 0 ? kCopyStages - 1 : stage - 1;
    fetch(token + (kCopyStages - 1) * stride, free);
    if (++stage == kCopyStages) stage = 0, phase ^= 1;
  }
  bulk_wait_all();
}

/// 32 rows a block: their scales turned from rows to columns, and zeros where nothing lies.
__global__ __launch_bounds__(256) void scales_and_padding(const PermuteArgs a) {
  __shared__ float tile[32][33];
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.x) * 32;
  if (row0 >= *a.end) return;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int r = warp; r < 32; r += 8) {
    if (a.choice_of[row0 + r] >= 0) continue;
    auto* to = reinterpret_cast<uint4*>(static_cast<char*>(a.out) + (row0 + r) * a.row_bytes);
    for (std::int64_t i = lane; i < a.row_bytes / 16; i += 32) to[i] = uint4{};
  }
  for (std::int64_t g0 = 0; g0 < a.groups; g0 += 32) {
    for (int r = warp; r < 32; r += 8) {
      const int choice = a.choice_of[row0 + r];
      if (g0 + lane < a.groups)
        tile[r][lane] =
            choice < 0 ? 0.0F : __ldg(a.scales + choice / a.top_k * a.token_stride + (g0 + lane) * a.group_stride);
    }
    __syncthreads();
    for (int g = warp; g < 32; g += 8)
      if (g0 + g < a.groups) a.scales_out[(g0 + g) * a.scale_stride + row0 + lane] = tile[lane][g];
    __syncthreads();
  }
}

}  // namespace

void permute_map(const PermuteMapArgs& args, const Launch& launch) {
  const char* name = "permute_map";
  PermuteMapArgs a = args;
  if (a.chosen_stride == 0) a.chosen_stride = a.top_k;
  require(a.experts > 0 && a.experts <= kMostExperts, name, "1 to 512 experts, got " + std::to_string(a.experts));
  require(a.tokens >= 0 && a.top_k > 0 && a.tokens * a.top_k < 1LL << 31, name,
          "tokens of at least 0, top_k of at least 1 and fewer than 2^31 choices");
  require(a.chosen_stride >= a.top_k, name, "a chosen_stride of at least top_k");
  require(a.rows >= 0 && a.rows % kRowAlignment == 0, name, "rows a multiple of 128, got " + std::to_string(a.rows));
  require(a.chosen && a.row_of && a.choice_of && a.block_group && a.offsets && a.scratch, name, "every pointer given");
  const auto chunks =
      static_cast<unsigned>(std::max<std::int64_t>(1, (a.tokens * a.top_k + kMapChunk - 1) / kMapChunk));
  count_chunk<<<chunks, kMapThreads, 0, launch.stream>>>(a);
  place_chunk<<<chunks, kMapThreads, 0, launch.stream>>>(a);
  check_launch(name);
}

void permute(const PermuteArgs& a, const Launch& launch) {
  const char* name = "permute";
  require(a.row_bytes > 0 && a.row_bytes % 16 == 0 && a.row_bytes <= 65536, name,
          "row_bytes a multiple of 16 up to 65536, got " + std::to_string(a.row_bytes));
  require(a.top_k > 0 && a.top_k <= 32, name, "top_k of 1 to 32, got " + std::to_string(a.top_k));
  require(a.rows % kRowAlignment == 0, name, "rows a multiple of 128, got " + std::to_string(a.rows));
  require(a.x && a.out && a.row_of && a.choice_of && a.end && aligned16(a.x) && aligned16(a.out), name,
          "x and out (aligned to 16 bytes), row_of, choice_of and end");
  require(a.groups == 0 || (a.scales && a.scales_out && a.scale_stride >= a.rows), name,
          "scales, scales_out and a scale_stride of at least rows beside groups");
  if (a.rows == 0) return;
  scales_and_padding<<<static_cast<unsigned>(a.rows / 32), 256, 0, launch.stream>>>(a);
  check_launch(name);
  if (a.tokens == 0) return;
  const std::int64_t warps = std::clamp<std::int64_t>(kCopyBytes / (a.row_bytes * kCopyStages), 1, kMostCopyWarps);
  const auto bytes = static_cast<int>(warps * kCopyStages * a.row_bytes);
  cudaFuncSetAttribute(copy_rows, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  const auto blocks = static_cast<unsigned>(launch.sms > 0 ? launch.sms : 132);
  copy_rows<<<blocks, static_cast<unsigned>(warps * 32), static_cast<unsigned>(bytes), launch.stream>>>(a);
  check_launch(name);
}

}  // namespace railcast::kernels
