// Problems for dispatch and combine, and their place on the GPU: what the benches of both share.
#pragma once
#include "kernels/combine_reference.hpp"
#include "kernels/exchange_memory.hpp"
#include "kernels/layer_bench.hpp"
#include "kernels/rank_groups.hpp"

namespace railcast::kernels::layer {

struct Exchange {
  ExchangeShape shape;
  reference::Chosen chosen;                 ///< by rank: [tokens, top_k]
  std::vector<std::vector<float>> weights;  ///< by rank: [tokens, top_k]
  std::size_t tokens(int rank) const {
    return chosen[static_cast<std::size_t>(rank)].size() / static_cast<std::size_t>(shape.top_k);
  }
};

/// 2 to 64 ranks; balanced, skewed to one rank, with an empty rank; odd numbers of tokens; top-k from 1.
ExchangeShape some_shape(Random& random, int least_ranks = 2);
Exchange some_exchange(Random& random, const ExchangeShape& shape);
/// DeepSeek-V3's sizes: 7168 columns, 256 experts, 8 different ones of them for each token.
Exchange v3_exchange(int ranks, std::int64_t tokens);
/// Copies of a token's row that dispatch makes, over all tokens.
double copies(const Exchange& exchange);

/// A part of an array of all ranks.
template <typename T>
std::vector<T> part(const std::vector<T>& all, std::size_t first, std::size_t count) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

/// All ranks' inputs and outputs on this GPU.
class OnGpu {
 public:
  OnGpu(const Exchange& exchange, const Peers& peers);
  DispatchArgs args;      ///< x is not filled, scales are by group
  CombineArgs back;       ///< with out_weights
  Array<std::uint8_t> x;  ///< all ranks', one after another
  Array<float> scales;
  Array<Bf16> out;
  Array<float> out_weights;
  Array<int> received, rank_counts, expert_counts;  ///< by rank

 private:
  std::vector<Array<int>> chosen_, places_;
  std::vector<Array<float>> weights_;
};

/// 8 virtual ranks with 4096 tokens each, laid out: what the timed rows of both kernels run on.
class V3Exchange {
 public:
  V3Exchange();
  Fields shape(std::int64_t chunk) const;
  Exchange exchange;
  VirtualRanks ranks;
  OnGpu gpu;
  double rows;  ///< copies of tokens over all ranks
};

/// Random exchanges against the reference; of several processes, each compares what its ranks got.
Outcome check_dispatch(Random& random, const Domain& domain);
Outcome check_combine(Random& random, const Domain& domain);

/// The loop of dispatch's senders alone. Every row goes out sevenths / 7 times on average (37 / 7 as eight ranks and
/// top-8 of 256 make it), copy c of row i to row c * rows + i, in turn here and there.
struct FanOut {
  const char* from;
  char *here, *there;
  std::int64_t rows, row_bytes, sevenths;
};
void fan_out_on(const FanOut& fan_out, int sms, cudaStream_t stream);

/// The error must name the rank that never came.
void expect_late(Outcome& out, const Peers& peers, const char* kernel, int missing);

VirtualRanks virtual_ranks(const ExchangeShape& shape);

/// For each number of SMs, the chunk of the fastest sustained row of this stem in this run.
void print_best_chunks(const Bench& bench, const std::string& stem);

}  // namespace railcast::kernels::layer
