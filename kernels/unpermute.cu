#include "kernels/unpermute.hpp"

#include "kernels/vector.cuh"

namespace railcast::kernels {
namespace {
using namespace device;

constexpr int kThreads = 128, kAhead = 8;  // rows of a token in flight

/// A block a token and 1024 columns.
__global__ __launch_bounds__(kThreads) void sum_rows(const UnpermuteArgs a, unsigned col_blocks) {
  const std::int64_t token = blockIdx.x / col_blocks;
  if (a.used != nullptr && token >= __ldg(a.used)) return;
  const std::int64_t col = (static_cast<std::int64_t>(blockIdx.x % col_blocks) * kThreads + threadIdx.x) * 8;
  if (col >= a.cols) return;
  float sum[8] = {};
  for (int k0 = 0; k0 < a.top_k; k0 += kAhead) {
    uint4 v[kAhead];
    float weight[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      const std::int64_t choice = token * a.top_k + k0 + k;
      const int row = k0 + k < a.top_k ? __ldg(a.row_of + choice) : -1;
      v[k] = row >= 0 ? load16(a.y + row * a.cols + col) : uint4{};
      weight[k] = row < 0 ? 0.0F : a.weights == nullptr ? 1.0F : __ldg(a.weights + token * a.weight_stride + k0 + k);
    }
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
      float x[8];
      unpack8(v[k], x);
#pragma unroll
      for (int i = 0; i < 8; ++i) sum[i] += weight[k] * x[i];
    }
  }
  store16(a.out + token * a.cols + col, pack8(sum));
}

constexpr int kBackwardThreads = 256;

/// A block a token: its gradient is kept in registers.
template <int vectors>
__global__ __launch_bounds__(kBackwardThreads) void spread_row(const UnpermuteBackwardArgs a) {
  __shared__ float scratch[2][kBackwardThreads / 32];
  const std::int64_t token = blockIdx.x;
  if (a.used != nullptr && token >= __ldg(a.used)) return;
  const int count = static_cast<int>(a.cols / 8);
  uint4 d[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    const int at = i * kBackwardThreads + threadIdx.x;
    d[i] = at < count ? load16(a.d_out + token * a.cols + at * 8) : uint4{};
  }
  int turn = 0;  // of the scratch
  for (int k = 0; k < a.top_k; ++k) {
    const std::int64_t choice = token * a.top_k + k, row = a.row_of[choice];
    if (row < 0) {
      if (a.d_weights != nullptr && threadIdx.x == 0) a.d_weights[choice] = 0;
      continue;
    }
    const float weight = a.weights == nullptr ? 1.0F : a.weights[token * a.weight_stride + k];
    uint4 y[vectors];
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int at = i * kBackwardThreads + threadIdx.x;
      y[i] = at < count && a.d_weights != nullptr ? load16(a.y + row * a.cols + at * 8) : uint4{};
    }
    float dot = 0;
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      const int at = i * kBackwardThreads + threadIdx.x;
      float df[8], yf[8];
      unpack8(d[i], df), unpack8(y[i], yf);
#pragma unroll
      for (int j = 0; j < 8; ++j) dot += df[j] * yf[j], df[j] *= weight;
      if (at < count) store16(a.d_y + row * a.cols + at * 8, pack8(df));
    }
    if (a.d_weights == nullptr) continue;
    dot = block_sum(dot, scratch[turn ^= 1]);
    if (threadIdx.x == 0) a.d_weights[choice] = dot;
  }
}

}  // namespace

void unpermute(const UnpermuteArgs& args, const Launch& launch) {
  UnpermuteArgs a = args;
  if (a.weight_stride == 0) a.weight_stride = a.top_k;
  require(a.tokens >= 0 && a.cols > 0 && a.cols % 8 == 0, "unpermute",
          "cols a positive multiple of 8, got " + std::to_string(a.cols));
  require(a.top_k > 0, "unpermute", "top_k of at least 1");
  require(a.y && a.row_of && a.out && aligned16(a.y) && aligned16(a.out), "unpermute",
          "y and out (aligned to 16 bytes) and row_of");
  if (a.tokens == 0) return;
  const auto col_blocks = static_cast<unsigned>((a.cols / 8 + kThreads - 1) / kThreads);
  sum_rows<<<col_blocks* static_cast<unsigned>(a.tokens), kThreads, 0, launch.stream>>>(a, col_blocks);
  check_launch("unpermute");
}

void unpermute_backward(const UnpermuteBackwardArgs& args, const Launch& launch) {
  const char* name = "unpermute_backward";
  UnpermuteBackwardArgs a = args;
  if (a.weight_stride == 0) a.weight_stride = a.top_k;
  require(a.cols > 0 && a.cols % 8 == 0 && a.cols <= 16384, name,
          "cols a multiple of 8 up to 16384, got " + std::to_string(a.cols));
  require(a.top_k > 0, name, "top_k of at least 1");
  require(a.d_out && a.row_of && a.d_y && (a.d_weights == nullptr || a.y), name,
          "d_out, row_of, d_y, and y beside d_weights");
  require(aligned16(a.d_out) && aligned16(a.d_y) && aligned16(a.y), name, "pointers aligned to 16 bytes");
  if (a.tokens == 0) return;
  const auto blocks = static_cast<unsigned>(a.tokens);
  if (a.cols <= kBackwardThreads * 8 * 4)
    spread_row<4><<<blocks, kBackwardThreads, 0, launch.stream>>>(a);
  else
    spread_row<8><<<blocks, kBackwardThreads, 0, launch.stream>>>(a);
  check_launch(name);
}

}  // namespace railcast::kernels
