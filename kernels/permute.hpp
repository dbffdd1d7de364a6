// Tokens to expert-contiguous rows and back. Every expert's rows start on a multiple of 128: what the grouped GEMMs
// read. Rows of an expert are in the order of (token, k): deterministic, forward and backward.
#pragma once
#include "kernels/gemm.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {

constexpr int kRowAlignment = 128;
/// Rows that always suffice: every choice, and every expert padded.
constexpr std::int64_t most_rows(std::int64_t tokens, int top_k, std::int64_t experts) {
  return (tokens * top_k + experts * (kRowAlignment - 1)) / kRowAlignment * kRowAlignment;
}
/// Ints of scratch of permute_map.
constexpr std::int64_t kMapChunk = 1024;  ///< choices a block counts
constexpr std::int64_t map_scratch(std::int64_t tokens, int top_k, std::int64_t experts) {
  return (tokens * top_k + kMapChunk - 1) / kMapChunk * experts;
}

/// Where every choice goes.
struct PermuteMapArgs {
  std::int64_t tokens = 0, experts = 0;  ///< experts of this rank, up to 512
  int top_k = 0;
  const int* chosen = nullptr;     ///< [tokens, top_k]: experts, those of this rank from first_expert on
  std::int64_t chosen_stride = 0;  ///< ints from a token to the next; 0: top_k
  std::int64_t first_expert = 0;
  const int* used = nullptr;   ///< optional, on the device: tokens from here on are none
  std::int64_t rows = 0;       ///< rows of the buffer, a multiple of 128; most_rows() always suffices
  int* row_of = nullptr;       ///< [tokens, top_k]: the choice's row, or -1
  int* choice_of = nullptr;    ///< [rows]: token * top_k + k, or -1 where padding
  int* block_group = nullptr;  ///< [rows/128]: the block's expert, or -1
  int* offsets = nullptr;      ///< [experts + 1]: first row of each expert, and the end
  int* scratch = nullptr;      ///< [map_scratch()]
};
void permute_map(const PermuteMapArgs& args, const Launch& launch);

/// Copies every token's row to its experts' rows. Padding rows up to offsets[experts] become zeros (wgrad sums over
/// them).
struct PermuteArgs {
  std::int64_t tokens = 0, rows = 0, row_bytes = 0;  ///< row_bytes a multiple of 16, up to 65536
  int top_k = 0;
  const void* x = nullptr;         ///< [tokens, row_bytes]
  void* out = nullptr;             ///< [rows, row_bytes]
  const int* row_of = nullptr;     ///< [tokens, top_k]
  const int* choice_of = nullptr;  ///< [rows]
  const int* end = nullptr;        ///< device: rows in use, offsets + experts
  const int* used = nullptr;       ///< optional, on the device: tokens from here on are not read
  // FP8 rows carry scales: token t's group g at scales[t * token_stride + g * group_stride].
  std::int64_t groups = 0;
  const float* scales = nullptr;
  std::int64_t token_stride = 0, group_stride = 1;
  float* scales_out = nullptr;  ///< [groups, scale_stride]; 0 in padding rows
  std::int64_t scale_stride = 0;
};
void permute(const PermuteArgs& args, const Launch& launch);

}  // namespace railcast::kernels
