#include <algorithm>
#include <cstring>

#include "kernels/bulk.cuh"
#include "kernels/exchange.cuh"
#include "kernels/exchange_bench.hpp"

namespace railcast::kernels::layer {
namespace {

/// One rank's window after a dispatch.
struct Received {
  const ExchangeShape& shape;
  Window at;
  std::vector<char> bytes;

  /// Rows of x are row_bytes apart; what is in a note, note_pitch.
  template <typename T>
  const T* row(std::int64_t offset, std::size_t row) const {
    const std::int64_t pitch = offset == at.x ? shape.row_bytes : at.note_pitch;
    return reinterpret_cast<const T*>(bytes.data() + offset + static_cast<std::int64_t>(row) * pitch);
  }
};

Received download(const ExchangeShape& shape, const Peers& peers, int rank) {
  Received r{shape, window_of(shape), {}};
  r.bytes.resize(static_cast<std::size_t>(r.at.bytes));
  throw_unless(cudaMemcpy(r.bytes.data(), peers.window[rank], r.bytes.size(), cudaMemcpyDeviceToHost),
               "reading a window");
  return r;
}

template <typename T>
bool same(const T* a, const T* b, std::int64_t count) {
  return std::memcmp(a, b, static_cast<std::size_t>(count) * sizeof(T)) == 0;
}

/// What was sent, as the ranks hold it.
struct Inputs {
  std::vector<std::uint8_t> x;
  std::vector<float> scales;
};

/// The first thing wrong in a row; empty: nothing.
std::string wrong_in(const Exchange& e, const Inputs& in, const Received& got, std::size_t row,
                     const reference::Sent& sent) {
  const ExchangeShape& s = e.shape;
  const auto from = static_cast<std::size_t>(sent.rank);
  const std::int64_t token = sent.rank * s.tokens + sent.token;
  if (!same(got.row<std::uint8_t>(got.at.x, row), in.x.data() + token * s.row_bytes, s.row_bytes)) return "x";
  for (std::int64_t g = 0; g < s.groups; ++g) {
    const float expected = in.scales[static_cast<std::size_t>((sent.rank * s.groups + g) * s.tokens + sent.token)];
    if (got.row<float>(got.at.scales, row)[g] != expected) return "scales";
  }
  if (!same(got.row<int>(got.at.experts, row), e.chosen[from].data() + sent.token * s.top_k, s.top_k)) return "experts";
  if (!same(got.row<float>(got.at.weights, row), e.weights[from].data() + sent.token * s.top_k, s.top_k))
    return "weights";
  return *got.row<int>(got.at.source, row) == sent.token ? "" : "source";
}

void compare_windows(Outcome& out, const Exchange& e, const Inputs& in, const OnGpu& gpu) {
  const auto rows = reference::dispatched(e.shape, e.chosen);
  const std::vector<int> received = gpu.received.host();
  const Peers& peers = gpu.args.peers;
  for (int d = peers.first; d < peers.first + peers.local && out.ok; ++d) {
    const auto& expected = rows[static_cast<std::size_t>(d)];
    const Received got = download(e.shape, peers, d);
    if (received[static_cast<std::size_t>(d)] != static_cast<int>(expected.size()))
      out.fail("rank " + std::to_string(d) + " received " + std::to_string(received[static_cast<std::size_t>(d)]) +
               " rows, expected " + std::to_string(expected.size()));
    for (std::size_t i = 0; i < expected.size() && out.ok; ++i) {
      const std::string wrong = wrong_in(e, in, got, i, expected[i]);
      if (!wrong.empty()) out.fail(wrong + " of row " + std::to_string(i) + " of rank " + std::to_string(d));
    }
  }
}

void compare_layout(Outcome& out, const Exchange& e, const OnGpu& gpu) {
  const auto ranks = static_cast<std::size_t>(e.shape.ranks), experts = static_cast<std::size_t>(e.shape.experts);
  const std::vector<int> all_ranks = gpu.rank_counts.host(), all_experts = gpu.expert_counts.host();
  const Peers& peers = gpu.args.peers;
  for (int rank = peers.first; rank < peers.first + peers.local; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    std::vector<int> rank_counts(ranks), expert_counts(experts);
    const std::vector<int> place = reference::places(e.shape, e.chosen[r]);
    for (std::size_t i = 0; i < place.size(); ++i) rank_counts[i % ranks] += place[i] >= 0;
    for (const int expert : e.chosen[r])
      if (expert >= 0) ++expert_counts[static_cast<std::size_t>(expert)];
    const std::string name = " of rank " + std::to_string(rank);
    compare_bits(out, "rank_counts" + name, part(all_ranks, r * ranks, ranks), rank_counts);
    compare_bits(out, "expert_counts" + name, part(all_experts, r * experts, experts), expert_counts);
  }
}

}  // namespace

/// Three exchanges through the same windows, each of other data.
Outcome check_dispatch(Random& random, const Domain& domain) {
  const ExchangeShape shape = some_shape(random, domain.shares());
  const Window window = window_of(shape);
  const RankGroups ranks(shape.ranks, window.bytes, domain);
  const int sms = static_cast<int>(between(random, 1, 40));
  Outcome out;
  for (int round = 0; round < 3 && out.ok; ++round) {
    const Exchange e = some_exchange(random, shape);
    OnGpu gpu(e, ranks.all());
    Inputs in{std::vector<std::uint8_t>(gpu.x.size()), normal(random, gpu.scales.size())};
    for (auto& byte : in.x) byte = static_cast<std::uint8_t>(random());
    gpu.args.chunk = between(random, 1, 200);
    throw_unless(cudaMemcpy(gpu.x, in.x.data(), gpu.x.bytes(), cudaMemcpyHostToDevice), "filling x");
    throw_unless(cudaMemcpy(gpu.scales, in.scales.data(), gpu.scales.bytes(), cudaMemcpyHostToDevice),
                 "filling scales");
    for (int r = 0; r < shape.ranks; ++r) {
      if (!ranks.serves(r)) continue;
      const RankGroups::Group& owner = ranks.group_of(r);
      const OnDevice here(owner.gpu);
      throw_unless(
          cudaMemset(owner.peers.window[r] + window.x, 0xA5, static_cast<std::size_t>(window.bytes - window.x)),
          "poisoning a window");
    }
    ranks.wait();
    ranks.each(gpu.args,
               [](const DispatchArgs& a, const RankGroups::Group& g) { dispatch_layout(a, {.stream = g.stream}); });
    ranks.each(gpu.args, [sms](const DispatchArgs& a, const RankGroups::Group& g) {
      dispatch(a, {.stream = g.stream, .sms = sms});
    });
    ranks.check("dispatch");
    compare_layout(out, e, gpu), compare_windows(out, e, in, gpu);
  }
  return out;
}

namespace {

/// All ranks but one come; the error must name it.
Outcome check_late(Random& random) {
  ExchangeShape shape = some_shape(random);
  shape.ranks = std::max(3, shape.ranks), shape.experts = shape.ranks * 2;
  const VirtualRanks ranks = virtual_ranks(shape);
  const Exchange e = some_exchange(random, shape);
  OnGpu gpu(e, ranks.peers());
  const int missing = static_cast<int>(between(random, 1, shape.ranks - 1));
  gpu.args.peers = ranks.some(0, missing), gpu.args.timeout_s = 0.02;
  dispatch_layout(gpu.args, {});
  DispatchArgs rest = gpu.args;
  rest.peers = ranks.some(missing + 1, shape.ranks - missing - 1);
  std::copy(gpu.args.rank + missing + 1, gpu.args.rank + shape.ranks, rest.rank);
  if (rest.peers.local > 0) dispatch_layout(rest, {});
  dispatch(gpu.args, {.sms = 8});
  Outcome out;
  expect_late(out, gpu.args.peers, "dispatch", missing);
  return out;
}

// ---- what an SM can store: the senders' loop alone ----

constexpr int kFanWarps = 8, kFanStages = 3;

/// Every row once in and `sevenths` / 7 times out on average, in turn to here and there.
__global__ __launch_bounds__(kFanWarps * 32, 1) void fan_out(const FanOut a) {
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ device::Barrier full[kFanWarps][kFanStages];
  const int warp = threadIdx.x / 32;
  if (threadIdx.x % 32 != 0) return;
  unsigned char* stages = shared + warp * kFanStages * a.row_bytes;
  for (int s = 0; s < kFanStages; ++s) full[warp][s].init(1);
  barrier_init_fence();
  const auto bytes = static_cast<std::uint32_t>(a.row_bytes);
  const std::int64_t step = std::int64_t{gridDim.x} * kFanWarps;
  const auto fetch = [&](std::int64_t row, int s) {
    if (row >= a.rows) return;
    full[warp][s].expect(bytes);
    device::bulk_load(stages + s * a.row_bytes, a.from + row * a.row_bytes, bytes, full[warp][s]);
  };
  std::int64_t row = std::int64_t{warp} * gridDim.x + blockIdx.x;
  for (int s = 0; s + 1 < kFanStages; ++s) fetch(row + s * step, s);
  std::uint32_t phase = 0;
  for (int s = 0; row < a.rows; row += step) {
    full[warp][s].wait(phase);
    const std::int64_t copies = (row + 1) * a.sevenths / 7 - row * a.sevenths / 7;
    for (std::int64_t c = 0; c < copies; ++c)
      device::bulk_store(((row + c) % 2 == 0 ? a.here : a.there) + (c * a.rows + row) * a.row_bytes,
                         stages + s * a.row_bytes, bytes);
    device::bulk_commit();
    device::bulk_wait_read<1>();
    fetch(row + (kFanStages - 1) * step, s == 0 ? kFanStages - 1 : s - 1);
    if (++s == kFanStages) s = 0, phase ^= 1;
  }
  device::bulk_wait_all();
}

}  // namespace

void fan_out_on(const FanOut& a, int sms, cudaStream_t stream) {
  launch_on_sms(fan_out, a, sms, kFanWarps * 32, static_cast<int>(kFanWarps * kFanStages * a.row_bytes), stream,
                "fan_out");
}

namespace {

void time_fan_out(V3Exchange& v3, int sms, Layer& layer) {
  const ExchangeShape& s = v3.exchange.shape;
  Array<std::uint8_t> to(static_cast<std::size_t>(6 * s.rows() * s.row_bytes));
  char* all = reinterpret_cast<char*>(to.get());
  const FanOut a{reinterpret_cast<const char*>(v3.gpu.x.get()), all, all, s.rows(), s.row_bytes, 37};
  layer.time({.shape = v3.shape(0),
              .dtype = "fp8_block",
              .out_dtype = "fp8_block",
              .impl = "fan_out",
              .bytes = static_cast<double>(s.row_bytes * s.rows()) * (1 + 37.0 / 7),
              .run = [=](int, cudaStream_t stream) { fan_out_on(a, sms, stream); },
              .sms = sms});
}

void time_rows(V3Exchange& v3, int sms, std::int64_t chunk, Layer& layer) {
  DispatchArgs a = v3.gpu.args;
  a.chunk = chunk;
  const double row = static_cast<double>(a.shape.row_bytes + 4 * a.shape.groups);
  layer.time({.shape = v3.shape(chunk),
              .dtype = "fp8_block",
              .out_dtype = "fp8_block",
              .bytes = row * (v3.rows + static_cast<double>(a.shape.rows())),
              .run = [=](int, cudaStream_t stream) { dispatch(a, {.stream = stream, .sms = sms}); },
              .must_of_copy = 0.85,
              .sms = sms});
}

void time_layout(V3Exchange& v3, Layer& layer) {
  const DispatchArgs a = v3.gpu.args;
  layer.time({.shape = v3.shape(0),
              .dtype = "int32",
              .out_dtype = "int32",
              .impl = "railcast_layout",
              .bytes = static_cast<double>(a.shape.rows() * (a.shape.top_k + a.shape.ranks) * 4),
              .run = [=](int, cudaStream_t stream) { dispatch_layout(a, {.stream = stream}); }});
}

void fill_inputs(V3Exchange& v3) {
  fill_codes(v3.gpu.x, v3.gpu.x.size(), 1, nullptr);
  fill_uniform(v3.gpu.scales, v3.gpu.scales.size(), 0.005F, 0.02F, 2, nullptr);
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void dispatch_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "dispatch");
  layer.check("virtual ranks", [](Random& random) { return check_dispatch(random, {{0}}); });
  layer.check("late rank", check_late);
  if (!layer.timing()) return;
  V3Exchange v3;
  fill_inputs(v3);
  for (const int sms : {8, 16, 20, 24, 64}) time_rows(v3, sms, DispatchArgs{}.chunk, layer);
  for (const int sms : {8, 16, 20, 24}) time_fan_out(v3, sms, layer);
  time_layout(v3, layer);
  throw_if_late(v3.gpu.args.peers, "dispatch");
}

/// --tune dispatch
void dispatch_tune_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "dispatch");
  layer.check("virtual ranks", [](Random& random) { return check_dispatch(random, {{0}}); });
  V3Exchange v3;
  fill_inputs(v3);
  for (const int sms : {4, 8, 12, 16, 20, 24, 32})
    for (const std::int64_t chunk : {16, 32, 64, 128, 256, 512}) time_rows(v3, sms, chunk, layer);
  print_best_chunks(bench, "dispatch");
}

}  // namespace railcast::kernels
