// Shape: the one vocabulary shared by the model, the kernels and the calibration tables.
// Plain integers and a dtype; nothing else may be included here but the standard library.
// One stem goes through every layer: `grouped_gemm` is a Shape, a kernel file, a CSV and a test.
#pragma once
#include <cstdint>
#include <string>
#include <variant>

namespace railcast {

/// Precision of an op's inputs. fp8_block: E4M3, 1x128 activation and 128x128 weight scales (arXiv 2412.19437, 3.3);
/// fp8_tensor: E4M3 with one scale per tensor.
enum class Dtype : std::uint8_t { bf16, fp8_block, fp8_tensor, fp32 };

const char* name(Dtype d);
double bytes_per_element(Dtype d);  ///< scales not counted

/// D[m,n] = A[m,k] B[n,k]^T
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const Gemm&) const = default;
};
/// `groups` GEMMs of `m` rows each (mean valid rows), expert-contiguous rows padded to 128.
struct GroupedGemm {
  std::int64_t groups = 0, m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const GroupedGemm&) const = default;
};
/// As GroupedGemm with `m` valid rows per group in a fixed-size buffer (decode).
struct GroupedGemmMasked {
  std::int64_t groups = 0, m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const GroupedGemmMasked&) const = default;
};
/// dW[m,n] += dY[k,m]^T X[k,n] over k tokens, FP32 accumulate.
struct Wgrad {
  std::int64_t m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const Wgrad&) const = default;
};
/// `groups` Wgrads with `k` tokens each (mean).
struct WgradGrouped {
  std::int64_t groups = 0, m = 0, n = 0, k = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const WgradGrouped&) const = default;
};
/// Softmax attention, BF16. FLOPs are halved where causal. Backward computes dQ, dK and dV.
struct Attention {
  std::int64_t batch = 0, q_len = 0, kv_len = 0, heads = 0, kv_heads = 0, d_qk = 0, d_v = 0;
  bool causal = true, backward = false;
  bool operator==(const Attention&) const = default;
};
/// [rows, cols] -> E4M3 with 1x128 scales; `transpose` also writes the 128x1 transposed copy. `from` fp8_block: a
/// cached 1x128 tensor is requantised to its 128x1 transpose (one copy read, one written).
struct Quantize {
  std::int64_t rows = 0, cols = 0;
  bool transpose = false;
  Dtype from = Dtype::bf16;
  bool operator==(const Quantize&) const = default;
};
/// gate and up [rows, 2*cols] -> [rows, cols]; `quantize` writes E4M3 with scales instead of BF16.
struct SwiGlu {
  std::int64_t rows = 0, cols = 0;
  bool backward = false, quantize = false;
  bool operator==(const SwiGlu&) const = default;
};
struct RmsNorm {
  std::int64_t rows = 0, cols = 0;
  bool backward = false;
  bool operator==(const RmsNorm&) const = default;
};
/// Rotary embedding in place on [rows, cols] BF16 elements.
struct Rope {
  std::int64_t rows = 0, cols = 0;
  bool operator==(const Rope&) const = default;
};
/// Scores, group limit, top-k and the dispatch layout (the projection is a Gemm).
struct Gate {
  std::int64_t tokens = 0, experts = 0, groups = 1, top_k = 0;
  bool backward = false;
  bool operator==(const Gate&) const = default;
};
/// tokens rows -> `rows` expert-contiguous rows of `cols` elements.
struct Permute {
  std::int64_t tokens = 0, rows = 0, cols = 0;
  Dtype dtype = Dtype::bf16;
  bool operator==(const Permute&) const = default;
};
/// Weighted sum of `rows` expert rows back into `tokens` rows, BF16.
struct Unpermute {
  std::int64_t tokens = 0, rows = 0, cols = 0;
  bool operator==(const Unpermute&) const = default;
};
/// Element-wise addition of BF16 [rows, cols] (residual).
struct Add {
  std::int64_t rows = 0, cols = 0;
  bool operator==(const Add&) const = default;
};
/// Gather of embedding rows; backward scatters into FP32.
struct Embedding {
  std::int64_t tokens = 0, hidden = 0;
  bool backward = false;
  bool operator==(const Embedding&) const = default;
};
/// Fused softmax cross-entropy, forward and backward over BF16 logits in place.
struct CrossEntropy {
  std::int64_t tokens = 0, vocab = 0;
  bool operator==(const CrossEntropy&) const = default;
};
/// FP32 master and gradient, BF16 moments, low-precision copy out: 22 bytes a parameter.
struct AdamW {
  std::int64_t parameters = 0;
  bool operator==(const AdamW&) const = default;
};

/// Tokens to their experts' ranks, once per destination node over the NIC and once per GPU over NVLink.
/// `tokens` are this rank's; `ranks` the expert-parallel group's size.
struct Dispatch {
  std::int64_t tokens = 0, hidden = 0, experts = 0, top_k = 0, ranks = 0;
  std::int64_t groups = 1, top_groups = 1;  ///< node-limited routing of the gate
  Dtype dtype = Dtype::fp8_block;
  bool notify = false;  ///< layout and notify come first; a backward reuses the forward's
  bool operator==(const Dispatch&) const = default;
};
/// The reverse of Dispatch, summing partial results on the way.
struct Combine {
  std::int64_t tokens = 0, hidden = 0, experts = 0, top_k = 0, ranks = 0;
  std::int64_t groups = 1, top_groups = 1;
  Dtype dtype = Dtype::bf16;
  bool operator==(const Combine&) const = default;
};
/// Collectives over `ranks` whose in-node part is `ranks_per_node`. `bytes` is the full vector on one rank
/// (nccl-tests' "size" for all_reduce; for all_gather and reduce_scatter the gathered size).
struct AllReduce {
  std::int64_t bytes = 0, ranks = 0, ranks_per_node = 0;
  bool operator==(const AllReduce&) const = default;
};
struct AllGather {
  std::int64_t bytes = 0, ranks = 0, ranks_per_node = 0;
  bool operator==(const AllGather&) const = default;
};
struct ReduceScatter {
  std::int64_t bytes = 0, ranks = 0, ranks_per_node = 0;
  bool operator==(const ReduceScatter&) const = default;
};
struct AllToAll {
  std::int64_t bytes = 0, ranks = 0, ranks_per_node = 0;
  bool operator==(const AllToAll&) const = default;
};
/// Point to point between pipeline neighbours.
struct SendRecv {
  std::int64_t bytes = 0;
  bool same_node = false;
  bool operator==(const SendRecv&) const = default;
};

using Shape = std::variant<Gemm, GroupedGemm, GroupedGemmMasked, Wgrad, WgradGrouped, Attention, Quantize, SwiGlu,
                           RmsNorm, Rope, Gate, Permute, Unpermute, Add, Embedding, CrossEntropy, AdamW, Dispatch,
                           Combine, AllReduce, AllGather, ReduceScatter, AllToAll, SendRecv>;

/// The stem: "gemm", "grouped_gemm_contiguous", "wgrad", ... (also the CSV's file name).
const char* stem(const Shape& s);
/// One readable line, e.g. "gemm 4096x7168x2048 fp8_block".
std::string describe(const Shape& s);
/// Multiply-adds counted as two; causal attention at half; 0 for memory-bound ops and collectives.
double flops(const Shape& s);
/// Fewest bytes through device memory: each input read once, each output written once.
double hbm_bytes(const Shape& s);

/// Expected distinct ranks holding a token's top_k experts, `experts` spread evenly over `ranks`, router uniform and
/// without group limit: ranks x P(a given rank holds at least one).
double expected_ranks(std::int64_t experts, std::int64_t top_k, std::int64_t ranks);

}  // namespace railcast
