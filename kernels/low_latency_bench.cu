#include <algorithm>
#include <numeric>

#include "kernels/exchange_bench.hpp"
#include "kernels/hash.cuh"
#include "kernels/low_latency_bench.hpp"
#include "kernels/low_latency_reference.hpp"
#include "kernels/quantize_reference.hpp"

namespace railcast::kernels::layer {
namespace {

LowLatencyShape some_decode_shape(Random& random, int least_ranks = 2) {
  LowLatencyShape s;
  s.ranks = static_cast<int>(between(random, 0, 2) == 0 ? between(random, 2, 64) : between(random, 2, 8));
  s.ranks = std::max(s.ranks, least_ranks);
  s.tokens = between(random, 1, s.ranks > 8 ? 4 : 16);
  s.experts = s.ranks * between(random, 1, 6);
  s.top_k =
      static_cast<int>(between(random, 0, 3) == 0 ? 1 : std::min<std::int64_t>(s.experts, between(random, 1, 12)));
  s.cols = 512 * between(random, 1, 3);
  return s;
}

/// Balanced, with choices left out, skewed to one expert, or with a rank that has no tokens.
void fill(Random& random, const Peers& peers, int buffer, Decode& d) {
  const LowLatencyShape& s = d.shape;
  const std::int64_t kind = between(random, 0, 3), favoured = between(random, 0, s.experts - 1);
  for (int r = 0; r < s.ranks; ++r) {
    const std::int64_t tokens = kind == 3 && r == favoured % s.ranks ? 0 : between(random, 0, s.tokens);
    std::vector<int> chosen;
    std::vector<int> order(static_cast<std::size_t>(s.experts));
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::shuffle(order.begin(), order.end(), random);
      if (kind == 2) std::iter_swap(order.begin(), std::find(order.begin(), order.end(), static_cast<int>(favoured)));
      for (int k = 0; k < s.top_k; ++k)
        chosen.push_back(kind == 1 && between(random, 0, 3) == 0 ? -1 : order[static_cast<std::size_t>(k)]);
    }
    std::vector<float> weights = normal(random, chosen.size());
    d.add(std::move(chosen), std::move(weights), normal_bf16(random, static_cast<std::size_t>(tokens * s.cols)));
  }
  d.args.shape = s, d.args.peers = peers, d.args.buffer = buffer;
}

template <typename T>
std::vector<T> from_gpu(const char* at, std::int64_t count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  throw_unless(cudaMemcpy(host.data(), at, host.size() * sizeof(T), cudaMemcpyDeviceToHost), "reading a window");
  return host;
}

/// The codes and scales that every rank's rows must have.
struct Codes {
  std::vector<E4m3> q;
  std::vector<float> scales;  ///< [cols/128, tokens]
};
Codes codes_of(const std::vector<Bf16>& x, std::int64_t cols) {
  const std::int64_t tokens = static_cast<std::int64_t>(x.size()) / cols;
  Codes c{std::vector<E4m3>(x.size()), std::vector<float>(x.size() / 128)};
  reference::quantize({.rows = tokens,
                       .cols = cols,
                       .x = x.data(),
                       .q = c.q.data(),
                       .scales = c.scales.data(),
                       .scale_stride = tokens});
  return c;
}

/// One expert's rows against what was sent to it.
void compare_expert(Outcome& out, const Decode& d, const std::vector<Codes>& codes, int expert,
                    const std::vector<reference::Put>& expected) {
  const LowLatencyShape& s = d.shape;
  const auto rank = static_cast<int>(expert / s.experts_each());
  const std::int64_t here = expert % s.experts_each(), groups = s.cols / 128, rows = s.rows();
  const LowLatencyWindow w = low_latency_window(s);
  const char* window = d.args.peers.window[rank];
  const auto q = from_gpu<E4m3>(window + w.x[d.args.buffer] + here * rows * s.cols, rows * s.cols);
  const auto scales = from_gpu<float>(window + w.scales[d.args.buffer] + here * groups * rows * 4, groups * rows);
  for (std::size_t i = 0; i < expected.size() && out.ok; ++i) {
    const Codes& sent = codes[static_cast<std::size_t>(expected[i].rank)];
    const auto token = static_cast<std::size_t>(expected[i].choice / s.top_k), cols = static_cast<std::size_t>(s.cols);
    const std::string name = "row " + std::to_string(i) + " of expert " + std::to_string(expert);
    for (std::size_t c = 0; c < cols; ++c)
      if (q[i * cols + c] != sent.q[token * cols + c]) return out.fail(name + ", column " + std::to_string(c));
    const std::size_t tokens = sent.q.size() / cols;
    for (std::size_t g = 0; g < cols / 128; ++g)
      if (scales[g * static_cast<std::size_t>(rows) + i] != sent.scales[g * tokens + token])
        return out.fail(name + ", scale " + std::to_string(g));
  }
}

void compare_dispatch(Outcome& out, const Decode& d) {
  const auto expected = reference::low_latency_rows(d.shape, d.chosen);
  const auto each = static_cast<std::size_t>(d.shape.experts_each());
  std::vector<Codes> codes;
  for (const auto& x : d.x) codes.push_back(codes_of(x, d.shape.cols));
  for (std::size_t e = 0; e < expected.size() && out.ok; ++e) {
    if (!d.serves(static_cast<int>(e / each))) continue;
    const int valid = d.valid_rows[e / each].host()[e % each];
    if (valid != static_cast<int>(expected[e].size()))
      return out.fail("expert " + std::to_string(e) + " got " + std::to_string(valid) + " rows, expected " +
                      std::to_string(expected[e].size()));
    compare_expert(out, d, codes, static_cast<int>(e), expected[e]);
  }
}

/// Random y, and what its weighted sums are in FP64.
std::vector<std::vector<double>> fill_returns(Random& random, const Decode& d) {
  const LowLatencyShape& s = d.shape;
  const LowLatencyWindow w = low_latency_window(s);
  const auto cols = static_cast<std::size_t>(s.cols);
  std::vector<std::vector<double>> sums;
  for (const auto& x : d.x) sums.emplace_back(x.size(), 0.0);
  const auto rows = reference::low_latency_rows(s, d.chosen);
  for (std::size_t e = 0; e < rows.size(); ++e) {
    if (rows[e].empty()) continue;
    const std::vector<Bf16> y = normal_bf16(random, rows[e].size() * cols);
    const auto rank = static_cast<std::int64_t>(e) / s.experts_each(),
               here = static_cast<std::int64_t>(e) % s.experts_each();
    if (d.serves(static_cast<int>(rank)))
      throw_unless(cudaMemcpy(d.args.peers.window[rank] + w.y[d.args.buffer] + here * s.rows() * s.cols * 2, y.data(),
                              y.size() * 2, cudaMemcpyHostToDevice),
                   "filling a window");
    for (std::size_t i = 0; i < rows[e].size(); ++i) {
      const auto r = static_cast<std::size_t>(rows[e][i].rank), choice = static_cast<std::size_t>(rows[e][i].choice);
      for (std::size_t c = 0; c < cols; ++c)
        sums[r][choice / static_cast<std::size_t>(s.top_k) * cols + c] +=
            static_cast<double>(d.weights[r][choice]) * static_cast<double>(float_from_bf16(y[i * cols + c]));
    }
  }
  return sums;
}

}  // namespace

void add_v3_rank(Decode& d, std::uint32_t rank) {
  const auto tokens = static_cast<std::uint64_t>(d.shape.tokens);
  std::vector<int> chosen;
  for (std::uint64_t t = 0; t < tokens; ++t)
    for (std::uint64_t k = 0; k < 8; ++k) chosen.push_back(static_cast<int>(k * 32 + hash(rank, t * 8 + k) % 32));
  Random random = random_of(rank, "low latency rows");
  d.add(chosen, std::vector<float>(chosen.size(), 0.125F), normal_bf16(random, tokens * 7168));
}

/// Four exchanges: both buffers twice.
Outcome check_low_latency(Random& random, const Domain& domain) {
  Outcome out;
  const LowLatencyShape shape = some_decode_shape(random, domain.shares());
  const RankGroups ranks(shape.ranks, low_latency_window(shape).bytes, domain);
  for (int round = 0; round < 4 && out.ok; ++round) {
    Decode d;
    d.shape = shape;
    fill(random, ranks.all(), round % 2, d);
    ranks.wait();
    const int sms = static_cast<int>(between(random, 1, 132));
    ranks.each(d.args, [sms](const LowLatencyArgs& a, const RankGroups::Group& g) {
      dispatch_low_latency(a, {.stream = g.stream, .sms = sms});
      dispatch_low_latency_receive(a, {.stream = g.stream});
    });
    ranks.check("dispatch_low_latency");
    compare_dispatch(out, d);
    const auto sums = fill_returns(random, d);
    ranks.wait();
    ranks.each(d.args, [](const LowLatencyArgs& a, const RankGroups::Group& g) {
      combine_low_latency(a, {.stream = g.stream});
      combine_low_latency_receive(a, {.stream = g.stream});
    });
    ranks.check("combine_low_latency");
    for (std::size_t r = 0; r < sums.size() && out.ok; ++r)
      if (d.serves(static_cast<int>(r)))
        compare(out, "out of rank " + std::to_string(r), doubles(d.out[r].host()), sums[r], 0x1p-8, 1e-5);
  }
  return out;
}

namespace {

Outcome check_late(Random& random) {
  const LowLatencyShape shape = some_decode_shape(random);
  const VirtualRanks ranks(shape.ranks, low_latency_window(shape).bytes);
  const int missing = shape.ranks - 1;
  Decode d;
  d.shape = shape;
  fill(random, ranks.some(0, missing), 0, d);
  d.args.timeout_s = 0.02;
  dispatch_low_latency(d.args, {});
  dispatch_low_latency_receive(d.args, {});
  Outcome out;
  expect_late(out, d.args.peers, "dispatch_low_latency", missing);
  return out;
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

/// One suite for both: the way back needs what the way there left.
void low_latency_suite(Bench& bench) {
  using namespace layer;
  Layer there(bench, "dispatch_low_latency"), back(bench, "combine_low_latency");
  there.check("and combine", [](Random& random) { return check_low_latency(random, {{0}}); });
  there.check("late rank", check_late);
  back.check("after dispatch", [](Random& random) { return check_low_latency(random, {{0}}); });
  if (!there.timing()) return;
  Decode d;
  d.shape = {.ranks = 8, .tokens = 128, .experts = 256, .top_k = 8, .cols = 7168};
  const VirtualRanks ranks(8, low_latency_window(d.shape).bytes);
  for (std::uint32_t r = 0; r < 8; ++r) add_v3_rank(d, r);
  d.args.shape = d.shape, d.args.peers = ranks.peers();
  const Fields shape = fields({"ranks", "tokens", "top_k", "cols"}, {8, 128, 8, 7168});
  const LowLatencyArgs a = d.args;
  there.time({.shape = shape,
              .out_dtype = "fp8_block",
              .bytes = 1024.0 * 7168 * 2 + 8192.0 * 7392,
              .run =
                  [=](int, cudaStream_t stream) {
                    dispatch_low_latency(a, {.stream = stream});
                    dispatch_low_latency_receive(a, {.stream = stream});
                  },
              .must_us = 25});
  back.time({.shape = shape,
             .bytes = (8192.0 + 1024.0) * 7168 * 2,
             .run =
                 [=](int, cudaStream_t stream) {
                   combine_low_latency(a, {.stream = stream});
                   combine_low_latency_receive(a, {.stream = stream});
                 },
             .must_us = 40});
  throw_if_late(a.peers, "low_latency");
}

}  // namespace railcast::kernels
