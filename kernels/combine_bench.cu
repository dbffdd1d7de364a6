#include <algorithm>

#include "kernels/exchange_bench.hpp"

namespace railcast::kernels::layer {
namespace {

/// Small whole numbers: their sums are exact in any order of FP32.
std::vector<Bf16> whole_numbers(Random& random, std::size_t count) {
  std::vector<Bf16> x(count);
  for (Bf16& v : x) v = bf16_from_float(static_cast<float>(between(random, -8, 8)));
  return x;
}

template <typename T>
void upload(const Peers& peers, int rank, std::int64_t offset, const std::vector<T>& x) {
  throw_unless(cudaMemcpy(peers.window[rank] + offset, x.data(), x.size() * sizeof(T), cudaMemcpyHostToDevice),
               "filling a window");
}

/// By choice: the value that its expert's rank holds for it.
std::vector<float> expected_weights(const Exchange& e, int rank, const std::vector<std::vector<float>>& y_weights) {
  const ExchangeShape& s = e.shape;
  const auto at_rank = static_cast<std::size_t>(rank), top_k = static_cast<std::size_t>(s.top_k);
  std::vector<float> expected(e.chosen[at_rank].size(), 0.0F);
  const auto rows = reference::dispatched(s, e.chosen);
  for (std::size_t d = 0; d < rows.size(); ++d)
    for (std::size_t i = 0; i < rows[d].size(); ++i) {
      if (rows[d][i].rank != rank) continue;
      const std::vector<int> here = reference::experts_on(s, e.chosen[at_rank], rows[d][i].token, static_cast<int>(d));
      for (std::size_t k = 0; k < top_k; ++k)
        if (here[k] >= 0)
          expected[static_cast<std::size_t>(rows[d][i].token) * top_k + k] = y_weights[d][i * top_k + k];
    }
  return expected;
}

void compare_ranks(Outcome& out, const Exchange& e, const OnGpu& gpu, const std::vector<std::vector<Bf16>>& y,
                   const std::vector<std::vector<float>>& y_weights, double tolerance) {
  const ExchangeShape& s = e.shape;
  const std::vector<Bf16> got = gpu.out.host();
  const std::vector<float> weights = gpu.out_weights.host();
  const Peers& peers = gpu.back.peers;
  for (int r = peers.first; r < peers.first + peers.local && out.ok; ++r) {
    const std::string name = "of rank " + std::to_string(r);
    const std::vector<double> expected = reference::combine(s, r, e.chosen, y);
    compare(out, "out " + name, doubles(part(got, static_cast<std::size_t>(r * s.tokens * s.cols), expected.size())),
            expected, tolerance, tolerance > 0 ? 1e-6 : 0);
    compare_bits(
        out, "out_weights " + name,
        part(weights, static_cast<std::size_t>(r * s.tokens * s.top_k), e.chosen[static_cast<std::size_t>(r)].size()),
        expected_weights(e, r, y_weights));
  }
}

}  // namespace

/// Sums of whole numbers bit by bit (as far as BF16 holds them), of normal numbers within BF16's rounding.
Outcome check_combine(Random& random, const Domain& domain) {
  const ExchangeShape shape = some_shape(random, domain.shares());
  const Window window = window_of(shape);
  const RankGroups ranks(shape.ranks, window.bytes, domain);
  Outcome out;
  for (int round = 0; round < 2 && out.ok; ++round) {
    const Exchange e = some_exchange(random, shape);
    OnGpu gpu(e, ranks.all());
    ranks.wait();
    ranks.each(gpu.args,
               [](const DispatchArgs& a, const RankGroups::Group& g) { dispatch_layout(a, {.stream = g.stream}); });
    ranks.wait();
    std::vector<std::vector<Bf16>> y;
    std::vector<std::vector<float>> y_weights;
    const auto rows = static_cast<std::size_t>(shape.rows());
    for (int r = 0; r < shape.ranks; ++r) {
      const std::size_t values = rows * static_cast<std::size_t>(shape.cols);
      y.push_back(round == 0 ? whole_numbers(random, values) : normal_bf16(random, values));
      y_weights.push_back(normal(random, rows * static_cast<std::size_t>(shape.top_k)));
      if (!ranks.serves(r)) continue;
      upload(gpu.args.peers, r, window.y, y.back()), upload(gpu.args.peers, r, window.y_weights, y_weights.back());
    }
    ranks.wait();
    gpu.back.chunk = 16 * between(random, 1, 128);
    const int sms = static_cast<int>(between(random, 1, 40));
    ranks.each(gpu.back, [sms](const CombineArgs& a, const RankGroups::Group& g) {
      combine(a, {.stream = g.stream, .sms = sms});
    });
    ranks.check("combine");
    compare_ranks(out, e, gpu, y, y_weights, round == 0 ? 0 : 0x1p-8);
  }
  return out;
}

namespace {

/// Of what dispatch brought, each rank returns x (BF16 rows as they came) times 1: every token comes back as many times
/// as it had ranks.
Outcome check_round_trip(Random& random) {
  ExchangeShape shape = some_shape(random);
  shape.row_bytes = shape.cols * 2 / 16 * 16, shape.cols = shape.row_bytes / 2;
  const VirtualRanks ranks = virtual_ranks(shape);
  const Window window = window_of(shape);
  const Exchange e = some_exchange(random, shape);
  OnGpu gpu(e, ranks.peers());
  const std::vector<Bf16> x = whole_numbers(random, gpu.x.size() / 2);
  throw_unless(cudaMemcpy(gpu.x, x.data(), gpu.x.bytes(), cudaMemcpyHostToDevice), "filling x");
  dispatch_layout(gpu.args, {});
  dispatch(gpu.args, {.sms = 8});
  for (int r = 0; r < shape.ranks; ++r)
    throw_unless(
        cudaMemcpyAsync(gpu.args.peers.window[r] + window.y, gpu.args.peers.window[r] + window.x,
                        static_cast<std::size_t>(shape.rows() * shape.row_bytes), cudaMemcpyDeviceToDevice, nullptr),
        "returning rows");
  combine(gpu.back, {.sms = 8});
  throw_if_late(gpu.back.peers, "combine");
  const std::vector<Bf16> got = gpu.out.host();
  Outcome out;
  for (int r = 0; r < shape.ranks; ++r) {
    const std::vector<int> place = reference::places(shape, e.chosen[static_cast<std::size_t>(r)]);
    for (std::size_t t = 0; t < e.tokens(r); ++t) {
      const auto times = static_cast<float>(std::count_if(
          place.begin() + static_cast<std::ptrdiff_t>(t) * shape.ranks,
          place.begin() + static_cast<std::ptrdiff_t>(t + 1) * shape.ranks, [](int p) { return p >= 0; }));
      for (std::int64_t c = 0; c < shape.cols; ++c) {
        const auto at = static_cast<std::size_t>((r * shape.tokens + static_cast<std::int64_t>(t)) * shape.cols + c);
        if (float_from_bf16(got[at]) != times * float_from_bf16(x[at]))
          out.fail("token " + std::to_string(t) + " of rank " + std::to_string(r) + ", column " + std::to_string(c));
      }
    }
  }
  return out;
}

void fill_returns(V3Exchange& v3) {
  const ExchangeShape& s = v3.exchange.shape;
  for (int r = 0; r < s.ranks; ++r)
    fill_bf16(v3.gpu.back.peers.window[r] + window_of(s).y, static_cast<std::size_t>(s.rows() * s.cols), 1.0F,
              static_cast<std::uint32_t>(r), nullptr);
  for (CombineRank& rank : v3.gpu.back.rank) rank.out_weights = nullptr;
}

void time_rows(V3Exchange& v3, int sms, std::int64_t chunk, Layer& layer) {
  CombineArgs a = v3.gpu.back;
  a.chunk = chunk;
  layer.time({.shape = v3.shape(chunk),
              .bytes = 2.0 * static_cast<double>(a.shape.cols) * (v3.rows + static_cast<double>(a.shape.rows())),
              .run = [=](int, cudaStream_t stream) { combine(a, {.stream = stream, .sms = sms}); },
              .must_of_copy = 0.85,
              .sms = sms});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void combine_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "combine");
  layer.check("virtual ranks", [](Random& random) { return check_combine(random, {{0}}); });
  layer.check("round trip", check_round_trip);
  if (!layer.timing()) return;
  V3Exchange v3;
  fill_returns(v3);
  for (const int sms : {8, 16, 20, 24, 64}) time_rows(v3, sms, CombineArgs{}.chunk, layer);
  throw_if_late(v3.gpu.back.peers, "combine");
}

/// --tune combine
void combine_tune_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "combine");
  layer.check("virtual ranks", [](Random& random) { return check_combine(random, {{0}}); });
  V3Exchange v3;
  fill_returns(v3);
  for (const int sms : {4, 8, 12, 16, 20, 24, 32})
    for (const std::int64_t chunk : {1024, 2048, 3584, 7168, 14336}) time_rows(v3, sms, chunk, layer);
  print_best_chunks(bench, "combine");
}

}  // namespace railcast::kernels
