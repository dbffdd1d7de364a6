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
ExchangeShape some_shape(Random& random, std::size_t least_ranks = 2);
Exchange some_exchange(Random& random, const ExchangeShape& shape);
/// DeepSeek-V3's sizes: 7168 columns, 256 experts, 8 different ones of them for each token.
Exchange v3_exchange(int ranks, std::int64_t tokens);
/// Copies of a token's row that dispatch makes, over all tokens.
double copies(const Exchange& exchange);

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

/// Random exchanges against the reference; ranks dealt to these GPUs.
Outcome check_dispatch(Random& random, const std::vector<int>& gpus, RankGroups::Way way);
Outcome check_combine(Random& random, const std::vector<int>& gpus, RankGroups::Way way);

/// The error must name the rank that never came.
void expect_late(Outcome& out, const Peers& peers, const char* kernel, int missing);

VirtualRanks virtual_ranks(const ExchangeShape& shape);

/// For each number of SMs, the chunk of the fastest sustained row of this stem in this run.
void print_best_chunks(const Bench& bench, const std::string& stem);

}  // namespace railcast::kernels::layer
