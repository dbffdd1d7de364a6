#include "kernels/gate.hpp"

#include <algorithm>

#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kWarps = 16;

/// Floats as unsigned integers of the same order; 0 is below every number.
__device__ __forceinline__ unsigned ordered(float x) {
  const unsigned b = __float_as_uint(x);
  return b ^ (static_cast<unsigned>(static_cast<int>(b) >> 31) | 0x80000000U);
}
__device__ __forceinline__ float warp_max(float x) { return group_amax<32>(x); }

/// `per_lane` neighbouring experts of one token in each lane: lane l holds l * per_lane ...
template <int per_lane>
struct TokenScores {
  float score[per_lane];
  unsigned key[per_lane];  ///< of score + bias; 0: not open

  __device__ __forceinline__ void load(const Gating& g, const float* logits) {
    const int first = threadIdx.x % 32 * per_lane;
    if constexpr (per_lane % 4 == 0) {
#pragma unroll
      for (int j = 0; j < per_lane; j += 4) {
        const float4 v = __ldcs(reinterpret_cast<const float4*>(logits + first + j));
        score[j] = v.x, score[j + 1] = v.y, score[j + 2] = v.z, score[j + 3] = v.w;
      }
    } else {
#pragma unroll
      for (int j = 0; j < per_lane; ++j) score[j] = first + j < g.experts ? __ldcs(logits + first + j) : -INFINITY;
    }
  }
  /// Logits become scores.
  __device__ __forceinline__ void activate(Scoring scoring) {
    if (scoring == Scoring::sigmoid) {
#pragma unroll
      for (int j = 0; j < per_lane; ++j) score[j] = __fdividef(1.0F, 1.0F + __expf(-score[j]));
      return;
    }
    float top = score[0], sum = 0;
#pragma unroll
    for (int j = 1; j < per_lane; ++j) top = fmaxf(top, score[j]);
    top = warp_max(top);
#pragma unroll
    for (int j = 0; j < per_lane; ++j) sum += score[j] = __expf(score[j] - top);
    sum = 1.0F / warp_sum(sum);
#pragma unroll
    for (int j = 0; j < per_lane; ++j) score[j] *= sum;
  }
  /// Keys of the open experts.
  __device__ __forceinline__ void open(const Gating& g, const float (&bias)[per_lane]) {
    const int first = threadIdx.x % 32 * per_lane;
    float choice[per_lane];
#pragma unroll
    for (int j = 0; j < per_lane; ++j) choice[j] = score[j] + bias[j];
    const bool is_open = g.groups == 1 || group_is_open(g, choice);
#pragma unroll
    for (int j = 0; j < per_lane; ++j) key[j] = is_open && first + j < g.experts ? ordered(choice[j]) : 0;
  }
  /// A group is the experts of 32 / groups neighbouring lanes.
  __device__ __forceinline__ bool group_is_open(const Gating& g, const float (&choice)[per_lane]) const {
    float a = choice[0], b = -INFINITY;  // the two best, of the lane and then of the group
#pragma unroll
    for (int j = 1; j < per_lane; ++j) b = fmaxf(b, fminf(a, choice[j])), a = fmaxf(a, choice[j]);
    const int lanes = 32 / g.groups;
    for (int step = 1; step < lanes; step *= 2) {
      const float c = __shfl_xor_sync(full_warp, a, step), d = __shfl_xor_sync(full_warp, b, step);
      b = fmaxf(fminf(a, c), fmaxf(b, d)), a = fmaxf(a, c);
    }
    const float worth = g.group_sum == 2 ? a + b : a;
    int better = 0;
    for (int away = lanes; away < 32; away += lanes) {
      const float other = __shfl_xor_sync(full_warp, worth, away);
      const bool earlier = (threadIdx.x % 32 ^ away) < threadIdx.x % 32;
      better += other > worth || (other == worth && earlier);
    }
    return better < g.top_groups;
  }
  /// Takes the best open expert out; every lane gets it and its score.
  __device__ __forceinline__ void pop(int& expert, float& its_score) {
    unsigned mine = key[0];
#pragma unroll
    for (int j = 1; j < per_lane; ++j) mine = max(mine, key[j]);
    const unsigned best = __reduce_max_sync(full_warp, mine);
    const int winner = __ffs(__ballot_sync(full_warp, mine == best)) - 1;
    int slot = 0;
    float s = 0;
#pragma unroll
    for (int j = per_lane - 1; j >= 0; --j)  // the lowest index of equals is kept
      if (key[j] == best) slot = j, s = score[j];
    if (threadIdx.x % 32 == winner) {
#pragma unroll
      for (int j = 0; j < per_lane; ++j) key[j] = j == slot ? 0 : key[j];
    }
    expert = winner * per_lane + __shfl_sync(full_warp, slot, winner);
    its_score = __shfl_sync(full_warp, s, winner);
  }
};

/// Counts of a block in shared memory, then one atomic a counter.
struct Counts {
  int expert[512], rank[64];
  __device__ void zero() {
    for (int i = threadIdx.x; i < 512; i += blockDim.x) expert[i] = 0;
    if (threadIdx.x < 64) rank[threadIdx.x] = 0;
  }
  __device__ void publish(const GateArgs& a) const {
    for (int i = threadIdx.x; i < a.gating.experts && a.expert_counts != nullptr; i += blockDim.x)
      if (expert[i] != 0) atomicAdd(a.expert_counts + i, expert[i]);
    if (a.rank_counts != nullptr && threadIdx.x < a.ranks && rank[threadIdx.x] != 0)
      atomicAdd(a.rank_counts + threadIdx.x, rank[threadIdx.x]);
  }
};

template <int per_lane>
__device__ __forceinline__ void gate_token(const GateArgs& a, std::int64_t token, TokenScores<per_lane>& s,
                                           const float (&bias)[per_lane], Counts& counts) {
  const Gating& g = a.gating;
  const int lane = threadIdx.x % 32;
  s.activate(g.scoring);
  s.open(g, bias);
  int expert = 0;
  float weight = 0, sum = 0;
  for (int k = 0; k < g.top_k; ++k) {
    int e;
    float w;
    s.pop(e, w);
    sum += w;
    if (lane == k) expert = e, weight = w;
  }
  const float factor = g.normalise ? g.scale / sum : g.scale;
  unsigned long long ranks = 0;
  if (lane < g.top_k) {
    a.experts[token * g.top_k + lane] = expert;
    a.weights[token * g.top_k + lane] = weight * factor;
    atomicAdd(&counts.expert[expert], 1);
    ranks = 1ULL << (expert / static_cast<int>(g.experts / a.ranks));
  }
  const unsigned low = __reduce_or_sync(full_warp, static_cast<unsigned>(ranks));
  const unsigned high = __reduce_or_sync(full_warp, static_cast<unsigned>(ranks >> 32));
  if (low >> lane & 1) atomicAdd(&counts.rank[lane], 1);
  if (high >> lane & 1) atomicAdd(&counts.rank[32 + lane], 1);
  if (lane == 0 && a.on_rank != nullptr) a.on_rank[token] = static_cast<unsigned long long>(high) << 32 | low;
}

/// A warp a token; the next token's logits are on the way while this one is decided.
template <int per_lane>
__global__ __launch_bounds__(kWarps * 32) void gate_tokens(const GateArgs a) {
  __shared__ Counts counts;
  counts.zero();
  __syncthreads();
  const int first = threadIdx.x % 32 * per_lane;
  float bias[per_lane];
#pragma unroll
  for (int j = 0; j < per_lane; ++j)
    bias[j] = a.bias != nullptr && first + j < a.gating.experts ? __ldg(a.bias + first + j) : 0;
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kWarps;
  std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
  TokenScores<per_lane> now, next;
  if (token < a.tokens) now.load(a.gating, a.logits + token * a.gating.experts);
  for (; token < a.tokens; token += stride) {
    if (token + stride < a.tokens) next.load(a.gating, a.logits + (token + stride) * a.gating.experts);
    gate_token<per_lane>(a, token, now, bias, counts);
    now = next;
  }
  __syncthreads();
  counts.publish(a);
}

/// A warp a token. d: the gradient of each expert's score through its weight.
template <int per_lane>
__global__ __launch_bounds__(256) void backward_tokens(const GateBackwardArgs a) {
  const Gating& g = a.gating;
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * 8 + threadIdx.x / 32;
  if (token >= a.tokens) return;
  const int lane = threadIdx.x % 32, first = lane * per_lane;
  TokenScores<per_lane> s;
  s.load(g, a.logits + token * g.experts);
  s.activate(g.scoring);
  float d[per_lane] = {};
  unsigned chosen = 0;
  float sum = 0, pulled = 0;
  for (int k = 0; k < g.top_k; ++k) {
    const int slot = a.experts[token * g.top_k + k] - first;
    const float d_w = a.d_weights[token * g.top_k + k];
#pragma unroll
    for (int j = 0; j < per_lane; ++j)
      if (j == slot) chosen |= 1U << j, d[j] = d_w, sum += s.score[j], pulled += d_w * s.score[j];
  }
  sum = warp_sum(sum), pulled = warp_sum(pulled) / sum;
  float through = 0;
#pragma unroll
  for (int j = 0; j < per_lane; ++j) {
    const bool is_chosen = chosen >> j & 1;
    d[j] = !is_chosen ? 0 : g.normalise ? g.scale / sum * (d[j] - pulled) : g.scale * d[j];
    through += d[j] * s.score[j];
  }
  if (g.scoring == Scoring::softmax) through = warp_sum(through);
#pragma unroll
  for (int j = 0; j < per_lane; ++j) {
    const float x = s.score[j];
    const float out = g.scoring == Scoring::sigmoid ? d[j] * x * (1 - x) : x * (d[j] - through);
    if (first + j < g.experts) a.d_logits[token * g.experts + first + j] = out;
  }
}

__global__ __launch_bounds__(512) void update_bias(const GateBiasArgs a) {
  __shared__ long long total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  const int e = threadIdx.x;
  const int count = e < a.experts ? a.counts[e] : 0;
  atomicAdd(reinterpret_cast<unsigned long long*>(&total), static_cast<unsigned long long>(count));
  __syncthreads();
  if (e >= a.experts) return;
  const long long behind = total - static_cast<long long>(count) * a.experts;
  a.bias[e] += static_cast<float>((behind > 0) - (behind < 0)) * a.speed;
}

void check(const Gating& g, const char* name) {
  require(g.experts > 0 && (g.experts < 32 || g.experts % 32 == 0) && g.experts <= 512, name,
          "experts a multiple of 32 up to 512, or fewer than 32, got " + std::to_string(g.experts));
  require(g.top_k > 0 && g.top_k <= 32 && g.top_k <= g.experts, name,
          "top_k of 1 to 32, at most experts, got " + std::to_string(g.top_k));
  require(g.groups > 0 && g.groups <= 32 && (g.groups & (g.groups - 1)) == 0 && (g.groups == 1 || g.experts >= 32),
          name, "groups a power of two up to 32 (1 with fewer than 32 experts), got " + std::to_string(g.groups));
  require(g.top_groups > 0 && g.top_groups <= g.groups && g.experts / g.groups * g.top_groups >= g.top_k, name,
          "top_groups of 1 to groups that hold top_k experts, got " + std::to_string(g.top_groups));
  require((g.group_sum == 1 || g.group_sum == 2) && g.experts / g.groups >= g.group_sum, name,
          "group_sum of 1 or 2, at most the experts of a group, got " + std::to_string(g.group_sum));
}

/// Calls f.template operator()<experts a lane>().
template <typename F>
void by_lane(std::int64_t experts, F f) {
  switch ((experts + 31) / 32) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 3:
      return f.template operator()<3>();
    case 4:
      return f.template operator()<4>();
    case 5:
      return f.template operator()<5>();
    case 6:
      return f.template operator()<6>();
    case 7:
      return f.template operator()<7>();
    case 8:
      return f.template operator()<8>();
    case 12:
      return f.template operator()<12>();
    case 16:
      return f.template operator()<16>();
    default:
      require(false, "gate", "experts of 32 x {1..8, 12, 16}, got " + std::to_string(experts));
  }
}

}  // namespace

void gate(const GateArgs& a, const Launch& launch) {
  check(a.gating, "gate");
  require(a.ranks > 0 && a.ranks <= 64 && a.gating.experts % a.ranks == 0, "gate",
          "ranks of 1 to 64 that divide experts, got " + std::to_string(a.ranks));
  require(a.logits && a.experts && a.weights && aligned16(a.logits), "gate",
          "logits (aligned to 16 bytes), experts and weights");
  if (a.tokens == 0) return;
  const std::int64_t most = 2 * (launch.sms > 0 ? launch.sms : 132);
  const auto blocks = static_cast<unsigned>(std::min((a.tokens + kWarps - 1) / kWarps, most));
  by_lane(a.gating.experts,
          [&]<int per_lane>() { gate_tokens<per_lane><<<blocks, kWarps * 32, 0, launch.stream>>>(a); });
  check_launch("gate");
}

void gate_backward(const GateBackwardArgs& a, const Launch& launch) {
  check(a.gating, "gate_backward");
  require(a.logits && a.experts && a.d_weights && a.d_logits && aligned16(a.logits), "gate_backward",
          "every pointer given, logits aligned to 16 bytes");
  if (a.tokens == 0) return;
  const auto blocks = static_cast<unsigned>((a.tokens + 7) / 8);
  by_lane(a.gating.experts, [&]<int per_lane>() { backward_tokens<per_lane><<<blocks, 256, 0, launch.stream>>>(a); });
  check_launch("gate_backward");
}

void gate_bias_update(const GateBiasArgs& a, const Launch& launch) {
  require(a.experts > 0 && a.experts <= 512 && a.counts && a.bias, "gate_bias_update",
          "counts and bias of 1 to 512 experts");
  update_bias<<<1, 512, 0, launch.stream>>>(a);
  check_launch("gate_bias_update");
}

}  // namespace railcast::kernels
