// dispatch and combine for decode: few tokens, each put straight to the rows of its experts. Two launches each, so that
// no SM is held while messages are on their way. Two buffers take turns: what one holds may be in use while the other
// is being filled. Fixed shapes: all is capturable in a CUDA graph (one graph for each buffer).
#pragma once
#include "kernels/exchange.hpp"

namespace railcast::kernels {

constexpr int kMostLowLatencyExperts = 1024;

struct LowLatencyShape {
  int ranks = 1;
  std::int64_t tokens = 0;   ///< the most that a rank sends
  std::int64_t experts = 0;  ///< of all ranks, up to 1024; rank r has experts [r, r + 1) * experts / ranks
  int top_k = 1;             ///< up to 32
  std::int64_t cols = 0;     ///< a multiple of 512, up to 16384
  constexpr std::int64_t experts_each() const { return experts / ranks; }
  constexpr std::int64_t rows() const { return ranks * tokens; }  ///< of an expert, at most
};

/// What ranks wait on, one of each buffer.
struct LowLatencyChannel {
  unsigned long long epoch;                           ///< the owner's: receptions so far
  unsigned long long counted[kMostRanks];             ///< epochs of rank s's counts
  unsigned long long ready[kMostRanks];               ///< epochs of rank s's rows for combine
  unsigned long long arrived[kMostRanks];             ///< rows of rank s in this epoch
  unsigned done;                                      ///< blocks of the reception that are through
  int counts[2][kMostRanks][kMostLowLatencyExperts];  ///< [epoch % 2][from][expert of all]
};
struct LowLatencySync {
  int late;
  LowLatencyChannel channel[2];
};

/// Byte offsets in a window, of buffer 0 and 1. Row i of an expert is the i-th by (source rank, token, choice).
struct LowLatencyWindow {
  std::int64_t x[2] = {};         ///< E4M3 [experts_each, rows, cols]: what the masked GEMM reads
  std::int64_t x_scales[2] = {};  ///< FP32 [experts_each, rows, cols/128], on the way
  std::int64_t scales[2] = {};    ///< FP32 [experts_each, cols/128, rows]: what the masked GEMM reads
  std::int64_t y[2] = {};         ///< BF16 [experts_each, rows, cols]: what combine fetches
  std::int64_t bytes = 0;
};
/// Throws KernelError (Fault::argument) where the shape asks for what the kernels cannot do.
LowLatencyWindow low_latency_window(const LowLatencyShape& shape);

/// What one of the ranks of a launch sends and gets.
struct LowLatencyRank {
  std::int64_t tokens = 0;
  const Bf16* x = nullptr;         ///< [tokens, cols], aligned to 16
  const int* chosen = nullptr;     ///< [tokens, top_k]: experts, a token's all different, or -1
  const float* weights = nullptr;  ///< [tokens, top_k], for combine
  int* rows = nullptr;             ///< [tokens, top_k]: the choice's row at its expert, from dispatch to combine; or -1
  int* valid_rows = nullptr;       ///< [experts_each]: rows that each expert here got, from the reception
  Bf16* out = nullptr;             ///< [tokens, cols], from combine
};

struct LowLatencyArgs {
  LowLatencyShape shape;
  Peers peers;
  LowLatencyRank rank[kMostRanks];  ///< [i]: rank peers.first + i
  int buffer = 0;                   ///< 0 or 1
  double timeout_s = 10;            ///< then throw_if_late names the rank that was not there
};

/// Counts told to all ranks, rows cast to FP8 meanwhile, then put to their places. Returns when they have left.
void dispatch_low_latency(const LowLatencyArgs& args, const Launch& launch);
/// The hook: waits until all rows are here, and turns their scales for the GEMM.
void dispatch_low_latency_receive(const LowLatencyArgs& args, const Launch& launch);

/// Tells all ranks that y is written (by earlier work on the stream).
void combine_low_latency(const LowLatencyArgs& args, const Launch& launch);
/// The hook: fetches every token's rows and adds them up in FP32, weighted, in the order of its choices.
void combine_low_latency_receive(const LowLatencyArgs& args, const Launch& launch);

/// Throws KernelError (Fault::argument) where a launch of these ranks cannot be right.
void check_low_latency(const LowLatencyArgs& args, const char* name);

}  // namespace railcast::kernels
