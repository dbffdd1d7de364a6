// FP8 GEMMs for Hopper: E4M3 inputs, 128-wide FP32 scales, FP32 promotion every 128 elements of K.
// One plain descriptor and one function per kernel. The functions check their arguments, launch on the stream, and
// return: no allocation, no host synchronisation, capturable in a CUDA graph. An empty problem (m = 0, or no rows)
// launches nothing.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

struct CUstream_st;

namespace railcast::kernels {

/// Where and how to run.
struct Launch {
  CUstream_st* stream = nullptr;
  int sms = 0;                    ///< SMs to use at most; 0 = all. The rest stays free, for communication.
  bool overlap_prologue = false;  ///< programmatic dependent launch: start while the stream's previous kernel drains
};

/// How a problem is cut. `choose_tile` picks it; a descriptor may name another for experiments (bm = 0: choose).
struct Tile {
  int bm = 0;         ///< rows of D per CTA: 64, 128, 192 or 256
  int bn = 0;         ///< columns of D per CTA
  int multicast = 1;  ///< 2: two CTAs side by side along n share the rows of A through TMA multicast
  int split = 1;      ///< CTAs of a cluster that share K and add up through distributed shared memory
  bool operator==(const Tile&) const = default;
};
std::string describe(const Tile& tile);
/// The tile in four numbers of a --shapes line from `at` on; none (bm = 0) where the line ends before.
Tile tile_in(const std::vector<std::int64_t>& line, std::size_t at);
/// Those that `gemm` may be asked for.
std::vector<Tile> compiled_tiles();

/// D[m,n] (BF16) = A[m,k] B[n,k]^T.
struct GemmArgs {
  std::int64_t m = 0, n = 0, k = 0;  ///< m >= 0; n and k multiples of 16
  const void* a = nullptr;           ///< E4M3 [m,k]
  const float* a_scales = nullptr;   ///< [ceil(k/128)][a_scale_stride], 1x128 tiles of A
  std::int64_t a_scale_stride = 0;   ///< >= m, multiple of 4
  const void* b = nullptr;           ///< E4M3 [n,k]
  const float* b_scales = nullptr;   ///< [ceil(n/128)][ceil(k/128)], 128x128 blocks of B
  void* d = nullptr;                 ///< BF16 [m,n]; a, b, d and the A scales 16-byte aligned
  Tile tile;
};
void gemm(const GemmArgs& args, const Launch& launch);

/// Rows of experts one after another, each expert starting on a row that is a multiple of 128.
struct GroupedGemmArgs {
  std::int64_t groups = 0, m = 0, n = 0, k = 0;  ///< m: rows of the buffer (<= 262144)
  const void* a = nullptr;                       ///< E4M3 [m,k]
  const float* a_scales = nullptr;               ///< [ceil(k/128)][a_scale_stride]
  std::int64_t a_scale_stride = 0;
  const void* b = nullptr;           ///< E4M3 [groups,n,k]
  const float* b_scales = nullptr;   ///< [groups][ceil(n/128)][ceil(k/128)]
  const int* block_group = nullptr;  ///< device: [ceil(m/128)], the expert of each 128 rows, -1 = padding
  const int* rows = nullptr;         ///< device, may be null: rows in use (<= m); the rest is not touched
  void* d = nullptr;                 ///< BF16 [m,n]; padding blocks are not written
  Tile tile;
};
void grouped_gemm_contiguous(const GroupedGemmArgs& args, const Launch& launch);

/// A fixed number of rows per expert, of which the first valid_rows[g] count (decode). groups <= 1024.
struct MaskedGemmArgs {
  std::int64_t groups = 0, m = 0, n = 0, k = 0;  ///< m: rows of the buffer per group
  const void* a = nullptr;                       ///< E4M3 [groups,m,k]
  const float* a_scales = nullptr;               ///< [groups][ceil(k/128)][a_scale_stride]
  std::int64_t a_scale_stride = 0;
  const void* b = nullptr;          ///< E4M3 [groups,n,k]
  const float* b_scales = nullptr;  ///< [groups][ceil(n/128)][ceil(k/128)]
  const int* valid_rows = nullptr;  ///< device: [groups], each <= m
  void* d = nullptr;                ///< BF16 [groups,m,n]; rows past valid_rows are not written
  std::int64_t expected_m = 0;      ///< typical valid_rows, for the tile choice only; 0: m
  Tile tile;
};
void grouped_gemm_masked(const MaskedGemmArgs& args, const Launch& launch);

/// D[m,n] (FP32) += A[m,k] B[n,k]^T over tokens k; A = dY^T and B = X^T, both quantised 1x128 along tokens.
/// With groups > 0, group g reads the tokens [k_offsets[g], k_offsets[g+1]) and adds into D[g].
struct WgradArgs {
  std::int64_t m = 0, n = 0, k = 0;  ///< k: tokens of the buffer; a multiple of 16 (of 128 when grouped)
  const void* a = nullptr;           ///< E4M3 [m,k]
  const float* a_scales = nullptr;   ///< [ceil(k/128)][a_scale_stride]
  std::int64_t a_scale_stride = 0;   ///< >= m, multiple of 4
  const void* b = nullptr;           ///< E4M3 [n,k]
  const float* b_scales = nullptr;   ///< [ceil(k/128)][b_scale_stride]
  std::int64_t b_scale_stride = 0;   ///< >= n, multiple of 4
  float* d = nullptr;                ///< FP32 [m,n], or [groups,m,n]
  std::int64_t groups = 0;           ///< 0: dense
  const int* k_offsets = nullptr;    ///< device: [groups + 1], multiples of 128
  Tile tile;
};
void wgrad(const WgradArgs& args, const Launch& launch);

/// Throws KernelError (Fault::argument) naming the argument, what was expected and what was given.
/// `device_sms` is the GPU's number of SMs.
void check(const GemmArgs& args, const Launch& launch, int device_sms);
void check(const GroupedGemmArgs& args, const Launch& launch, int device_sms);
void check(const MaskedGemmArgs& args, const Launch& launch, int device_sms);
void check(const WgradArgs& args, const Launch& launch, int device_sms);

/// Pure functions of the problem and the number of SMs.
Tile choose_tile(const GemmArgs& args, int sms);
Tile choose_tile(const GroupedGemmArgs& args, int sms);
Tile choose_tile(const MaskedGemmArgs& args, int sms);
Tile choose_tile(const WgradArgs& args, int sms);
/// Row tiles of a strip of D, which is walked column by column: what runs at the same time shares rows and columns.
int strip_of(const Tile& tile);
int strip_of(const GemmArgs& args, const Tile& tile, int sms);

}  // namespace railcast::kernels
