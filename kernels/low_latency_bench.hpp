// Problems for the low-latency forms, and their place on the GPU.
#pragma once
#include "kernels/layer_bench.hpp"
#include "kernels/low_latency.hpp"
#include "kernels/rank_groups.hpp"

namespace railcast::kernels::layer {

/// All ranks' tokens and their place on the GPU. `first` shifts the hash, for different data in every round.
struct Decode {
  LowLatencyShape shape;
  std::vector<std::vector<int>> chosen;
  std::vector<std::vector<float>> weights;
  std::vector<std::vector<Bf16>> x;
  std::vector<Array<int>> d_chosen, rows, valid_rows;
  std::vector<Array<float>> d_weights;
  std::vector<Array<Bf16>> d_x, out;
  LowLatencyArgs args;

  bool serves(int rank) const { return rank >= args.peers.first && rank < args.peers.first + args.peers.local; }
  void add(std::vector<int> choices, std::vector<float> weight, std::vector<Bf16> values) {
    const std::size_t r = chosen.size(), n = values.size();
    chosen.push_back(std::move(choices)), weights.push_back(std::move(weight)), x.push_back(std::move(values));
    d_chosen.emplace_back(chosen[r]), d_weights.emplace_back(weights[r]), d_x.emplace_back(x[r]);
    rows.emplace_back(chosen[r].size()), valid_rows.emplace_back(static_cast<std::size_t>(shape.experts_each()));
    out.emplace_back(n);
    args.rank[r] = {.tokens = static_cast<std::int64_t>(chosen[r].size()) / shape.top_k,
                    .x = d_x[r],
                    .chosen = d_chosen[r],
                    .weights = d_weights[r],
                    .rows = rows[r],
                    .valid_rows = valid_rows[r],
                    .out = out[r]};
  }
};

/// DeepSeek-V3's sizes: another rank's tokens, with 8 different experts of 256 each.
void add_v3_rank(Decode& d, std::uint32_t rank);

/// Random exchanges against the reference; of several processes, each compares what its ranks got.
Outcome check_low_latency(Random& random, const Domain& domain);

}  // namespace railcast::kernels::layer
