#include "kernels/exchange_bench.hpp"

#include <algorithm>
#include <cstdio>
#include <map>

#include "kernels/error.hpp"
#include "kernels/hash.cuh"

namespace railcast::kernels::layer {

ExchangeShape some_shape(Random& random, int least_ranks) {
  ExchangeShape s;
  s.ranks = static_cast<int>(between(random, 0, 2) == 0 ? between(random, 2, 64) : between(random, 2, 8));
  s.ranks = std::max(s.ranks, least_ranks);
  const bool wide = between(random, 0, 9) == 0;
  s.tokens = between(random, 1, s.ranks > 8 || wide ? 12 : 150);
  s.experts = s.ranks * between(random, 1, 8);
  s.top_k = static_cast<int>(between(random, 0, 3) == 0 ? 1 : between(random, 1, 12));
  s.row_bytes = 16 * (wide ? between(random, 400, 900) : between(random, 1, 40));
  s.groups = between(random, 0, 1) == 0 ? 0 : between(random, 1, 70);
  s.cols = 8 * (wide ? between(random, 200, 900) : between(random, 1, 24));
  return s;
}

Exchange some_exchange(Random& random, const ExchangeShape& s) {
  Exchange e{s, {}, {}};
  const std::int64_t kind = between(random, 0, 3), favoured = between(random, 0, s.ranks - 1),
                     each = s.experts / s.ranks;
  for (int r = 0; r < s.ranks; ++r) {
    const std::int64_t tokens = kind == 0 ? s.tokens : kind == 1 && r == favoured ? 0 : between(random, 0, s.tokens);
    std::vector<int> chosen;
    for (std::int64_t i = 0; i < tokens * s.top_k; ++i) {
      const bool skewed = kind == 2 || (kind == 3 && between(random, 0, 1) == 0);
      const std::int64_t expert =
          skewed ? favoured * each + between(random, 0, each - 1) : between(random, 0, s.experts - 1);
      chosen.push_back(kind == 3 && between(random, 0, 4) == 0 ? -1 : static_cast<int>(expert));
    }
    e.weights.push_back(normal(random, chosen.size()));
    e.chosen.push_back(std::move(chosen));
  }
  return e;
}

Exchange v3_exchange(int ranks, std::int64_t tokens) {
  Exchange e;
  e.shape = {
      .ranks = ranks, .tokens = tokens, .experts = 256, .top_k = 8, .row_bytes = 7168, .groups = 56, .cols = 7168};
  for (int r = 0; r < ranks; ++r) {
    std::vector<int> chosen;
    for (std::uint64_t t = 0; t < static_cast<std::uint64_t>(tokens); ++t) {
      const std::size_t first = chosen.size();
      for (std::uint64_t draw = 0; chosen.size() < first + 8; ++draw) {
        const auto expert = static_cast<int>(hash(static_cast<std::uint32_t>(r), t * 4096 + draw) % 256);
        if (std::find(chosen.begin() + static_cast<std::ptrdiff_t>(first), chosen.end(), expert) == chosen.end())
          chosen.push_back(expert);
      }
    }
    e.weights.emplace_back(chosen.size(), 0.125F);
    e.chosen.push_back(std::move(chosen));
  }
  return e;
}

double copies(const Exchange& exchange) {
  double rows = 0;
  for (const auto& received : reference::dispatched(exchange.shape, exchange.chosen))
    rows += static_cast<double>(received.size());
  return rows;
}

OnGpu::OnGpu(const Exchange& e, const Peers& peers)
    : x(static_cast<std::size_t>(e.shape.rows() * e.shape.row_bytes)),
      scales(static_cast<std::size_t>(e.shape.rows() * e.shape.groups)),
      out(static_cast<std::size_t>(e.shape.rows() * e.shape.cols)),
      out_weights(static_cast<std::size_t>(e.shape.rows() * e.shape.top_k)),
      received(static_cast<std::size_t>(e.shape.ranks)),
      rank_counts(static_cast<std::size_t>(e.shape.ranks * e.shape.ranks)),
      expert_counts(static_cast<std::size_t>(e.shape.ranks * e.shape.experts)) {
  const ExchangeShape& s = e.shape;
  args.shape = back.shape = s, args.peers = back.peers = peers;
  args.token_stride = 1, args.group_stride = s.tokens;
  for (int r = 0; r < s.ranks; ++r) {
    const auto at = static_cast<std::size_t>(r);
    chosen_.emplace_back(e.chosen[at]), weights_.emplace_back(e.weights[at]);
    places_.emplace_back(e.tokens(r) * static_cast<std::size_t>(s.ranks));
    const auto tokens = static_cast<std::int64_t>(e.tokens(r));
    args.rank[r] = {.tokens = tokens,
                    .x = x + r * s.tokens * s.row_bytes,
                    .scales = scales + r * s.tokens * s.groups,
                    .chosen = chosen_[at],
                    .weights = weights_[at],
                    .places = places_[at],
                    .expert_counts = expert_counts + r * s.experts,
                    .rank_counts = rank_counts + r * s.ranks,
                    .received = received + r};
    back.rank[r] = {.tokens = tokens,
                    .places = places_[at],
                    .chosen = chosen_[at],
                    .out = out + r * s.tokens * s.cols,
                    .out_weights = out_weights + r * s.tokens * s.top_k};
  }
}

void expect_late(Outcome& out, const Peers& peers, const char* kernel, int missing) {
  try {
    throw_if_late(peers, kernel);
    out.fail("nobody missed rank " + std::to_string(missing));
  } catch (const KernelError& error) {
    const std::string named = std::string(kernel) + ": rank " + std::to_string(missing) + " had not arrived";
    if (std::string(error.what()).find(named) == std::string::npos)
      out.fail("rank " + std::to_string(missing) + " was missing, but: " + error.what());
  }
}

VirtualRanks virtual_ranks(const ExchangeShape& shape) { return {shape.ranks, window_of(shape).bytes}; }

V3Exchange::V3Exchange()
    : exchange(v3_exchange(8, 4096)),
      ranks(virtual_ranks(exchange.shape)),
      gpu(exchange, ranks.peers()),
      rows(copies(exchange)) {
  dispatch_layout(gpu.args, {});
}

Fields V3Exchange::shape(std::int64_t chunk) const {
  const ExchangeShape& s = exchange.shape;
  return fields({"ranks", "tokens", "top_k", "cols", "chunk"}, {s.ranks, s.tokens, s.top_k, s.cols, chunk});
}

void print_best_chunks(const Bench& bench, const std::string& stem) {
  std::map<int, std::pair<double, std::string>> best;
  for (const Result& r : bench.results()) {
    if (r.what.stem != stem || r.what.impl != "railcast" || r.method != "sustained") continue;
    std::string chunk;
    for (const auto& [name, value] : r.what.shape)
      if (name == "chunk") chunk = value;
    const auto [at, is_new] = best.try_emplace(r.what.sms, r.time.p50_us, chunk);
    if (!is_new && r.time.p50_us < at->second.first) at->second = {r.time.p50_us, chunk};
  }
  for (const auto& [sms, fastest] : best)
    std::printf("%s on %d SMs: best chunk %s (%.1f us)\n", stem.c_str(), sms, fastest.second.c_str(), fastest.first);
}

}  // namespace railcast::kernels::layer
