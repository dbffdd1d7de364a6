// Suites of wgrad: dense, and one per expert over unequal numbers of tokens.
#include <algorithm>

#include "kernels/bench.hpp"
#include "kernels/device_array.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_cases.hpp"
#include "kernels/gemm_check.hpp"
#include "kernels/peers.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

struct Set {
  DeviceArray<std::uint8_t> a, b;
  DeviceArray<float> a_scales, b_scales, d;
};

class WgradWorkload : public Workload {
 public:
  /// k_offsets: empty for a dense one. sms 0: all.
  WgradWorkload(std::int64_t m, std::int64_t n, std::int64_t k, std::vector<int> k_offsets, Tile tile, int sets,
                int sms = 0)
      : sms_(sms), k_offsets_(std::move(k_offsets)), device_offsets_(k_offsets_) {
    args_.m = m, args_.n = n, args_.k = k, args_.tile = tile;
    args_.a_scale_stride = (m + 3) / 4 * 4, args_.b_scale_stride = (n + 3) / 4 * 4;
    args_.groups = k_offsets_.empty() ? 0 : static_cast<std::int64_t>(k_offsets_.size()) - 1;
    args_.k_offsets = device_offsets_.get();
    for (int s = 0; s < sets; ++s) sets_.push_back(make_set(static_cast<std::uint32_t>(s)));
    throw_unless(cudaDeviceSynchronize(), "filling the data of a wgrad");
  }
  void run(int set, cudaStream_t stream) override { wgrad(with(set), {stream, sms_, true}); }

  Difference check(cudaStream_t stream) override {
    const Set& s = sets_[0];
    fill_start(s.d.get(), s.d.size(), stream);
    run(0, stream);
    GemmCheck c;
    c.rows = args_.m, c.n = args_.n, c.k = args_.k, c.a = s.a.get(), c.b = s.b.get(), c.d = s.d.get(), c.fp32 = true;
    c.a_scales = s.a_scales.get(), c.a_stride = args_.a_scale_stride;
    c.b_scales = s.b_scales.get(), c.b_stride = args_.b_scale_stride;
    Difference worst = args_.groups == 0 ? check_gemm(c, stream) : Difference{};
    for (std::size_t g = 0; g + 1 < k_offsets_.size(); ++g) {
      c.k_begin = k_offsets_[g], c.k_end = k_offsets_[g + 1], c.group = static_cast<std::int64_t>(g);
      const Difference here = check_gemm(c, stream);
      worst = {std::max(worst.relative, here.relative), std::max(worst.maximum, here.maximum)};
    }
    return worst;
  }
  std::vector<std::uint8_t> output() const override {
    const std::vector<float> d = sets_[0].d.host();
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(d.data());
    return {bytes, bytes + sizeof(float) * d.size()};
  }
  std::string spoil(Random& random) { return spoil_some(random, sets_[0].a, sets_[0].a_scales); }

 private:
  Set make_set(std::uint32_t seed) const {
    const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const std::int64_t k_blocks = (args_.k + 127) / 128, copies = std::max<std::int64_t>(1, args_.groups);
    Set s;
    s.a = DeviceArray<std::uint8_t>(count(args_.m * args_.k)),
    s.b = DeviceArray<std::uint8_t>(count(args_.n * args_.k));
    s.a_scales = DeviceArray<float>(count(k_blocks * args_.a_scale_stride));
    s.b_scales = DeviceArray<float>(count(k_blocks * args_.b_scale_stride));
    s.d = DeviceArray<float>(count(copies * args_.m * args_.n));
    fill_codes(s.a.get(), s.a.size(), 2 * seed, nullptr), fill_codes(s.b.get(), s.b.size(), 2 * seed + 1, nullptr);
    fill_uniform(s.a_scales.get(), s.a_scales.size(), 0.005F, 0.02F, 1000 + seed, nullptr);
    fill_uniform(s.b_scales.get(), s.b_scales.size(), 0.005F, 0.02F, 2000 + seed, nullptr);
    fill_start(s.d.get(), s.d.size(), nullptr);
    return s;
  }
  WgradArgs with(int set) const {
    const Set& s = sets_[static_cast<std::size_t>(set)];
    WgradArgs args = args_;
    args.a = s.a.get(), args.b = s.b.get(), args.d = s.d.get();
    args.a_scales = s.a_scales.get(), args.b_scales = s.b_scales.get();
    return args;
  }

  int sms_;
  WgradArgs args_;
  std::vector<int> k_offsets_;
  DeviceArray<int> device_offsets_;
  std::vector<Set> sets_;
};

/// 8 bytes per output: read and written.
Case wgrad_case(const char* stem, std::int64_t copies, std::int64_t m, std::int64_t n, std::int64_t tokens) {
  const auto d = [](std::int64_t x) { return static_cast<double>(x); };
  Case c;
  c.stem = stem, c.out_dtype = "fp32", c.tolerance = 2e-4;
  c.flops = 2 * d(m) * d(n) * d(tokens);
  c.bytes = d((m + n) * tokens) + 8 * d(copies * m * n);
  c.set_bytes = c.bytes;
  return c;
}

/// groups 0: dense.
Fields tile_note(std::int64_t groups, std::int64_t m, std::int64_t n, std::int64_t k, Tile tile) {
  WgradArgs args;
  args.groups = groups, args.m = m, args.n = n, args.k = k, args.tile = tile;
  return {{"tile", describe(choose_tile(args, 0))}};
}

}  // namespace

/// Lines of --shapes: wgrad,m,n,k[,bm,bn,multicast,split]
void wgrad_suite(Bench& bench) {
  std::vector<std::vector<std::int64_t>> usual;
  for (const int tokens : {4096, 8192})
    for (const auto& [m, n] :
         {std::pair{2112, 7168}, {24576, 1536}, {32768, 512}, {7168, 16384}, {4096, 7168}, {7168, 2048}})
      usual.push_back({m, n, tokens});
  for (const auto& line : bench.shapes("wgrad", usual)) {
    Case c = wgrad_case("wgrad", 1, line.at(0), line.at(1), line.at(2));
    c.shape = fields({"m", "n", "k"}, {line[0], line[1], line[2]});
    const Tile tile = tile_in(line, 3);
    c.impl = "cublaslt_block", c.notes = {{"tile", "-"}};
    c.make = [=](int sets) { return cublaslt_wgrad(line[0], line[1], line[2], sets); };
    if (tile.bm == 0) bench.measure(c);
    c.impl = "railcast", c.notes = tile_note(0, line[0], line[1], line[2], tile);
    c.make = [=](int sets) {
      return std::make_unique<WgradWorkload>(line[0], line[1], line[2], std::vector<int>{}, tile, sets);
    };
    if (tile.bm > 0) c.stem = "tile " + describe(tile);
    bench.measure(c);
  }
}

/// Lines of --shapes: wgrad_grouped,groups,m,n,k[,bm,bn,multicast,split]; about k tokens in each group, unequal as
/// drawn_rows draws them, rounded up to 128.
void wgrad_grouped_suite(Bench& bench) {
  std::vector<std::vector<std::int64_t>> usual;
  for (const auto& [groups, tokens] : {std::pair{4, 8192}, {8, 4096}, {16, 2048}})
    for (const auto& [m, n] : {std::pair{4096, 7168}, {7168, 2048}}) usual.push_back({groups, m, n, tokens});
  for (const auto& line : bench.shapes("wgrad_grouped", usual)) {
    std::vector<int> tokens = drawn_rows(3, line.at(0), line.at(3)), offsets = {0};
    for (int& k : tokens) k = (k + 127) / 128 * 128, offsets.push_back(offsets.back() + k);
    const std::int64_t all = offsets.back();
    Case c = wgrad_case("wgrad_grouped", line[0], line[1], line[2], all);
    c.shape = fields({"groups", "m", "n", "k"}, {line[0], line[1], line[2], line[3]});
    const Tile tile = tile_in(line, 4);
    c.notes = tile_note(line[0], line[1], line[2], all, tile);
    c.notes.emplace_back("group_rows", listed(tokens));
    c.make = [=](int sets) { return std::make_unique<WgradWorkload>(line[1], line[2], all, offsets, tile, sets); };
    if (tile.bm > 0) c.stem = "tile " + describe(tile);
    bench.measure(c);
  }
}

/// On few SMs each has several tiles, and begins and ends with parts of one.
void wgrad_cases(Bench& bench) {
  bench.random_cases("wgrad", [](Random& random) {
    const std::int64_t m = some_rows(random, 700), n = some_sixteens(random, 900), k = some_sixteens(random, 3000);
    const std::int64_t sms = between(random, 2, 40);
    std::string what = one_line(fields({"m", "n", "k", "sms"}, {m, n, k, sms}));
    const Tile tile = some_tile(random, TiledKernel::wgrad, m, n, k, static_cast<int>(sms), what);
    auto work = std::make_unique<WgradWorkload>(m, n, k, std::vector<int>{}, tile, 1, static_cast<int>(sms));
    what += work->spoil(random);
    return RandomCase{what, kFp32CaseTolerance, std::move(work)};
  });
}

/// Unequal numbers of tokens; some experts have none.
void wgrad_grouped_cases(Bench& bench) {
  bench.random_cases("wgrad_grouped", [](Random& random) {
    std::vector<int> offsets = {0};
    for (std::int64_t g = between(random, 1, 9); g > 0; --g)
      offsets.push_back(offsets.back() + static_cast<int>(128 * std::max<std::int64_t>(0, between(random, -2, 8))));
    const auto groups = static_cast<std::int64_t>(offsets.size()) - 1;
    const bool wide = between(random, 0, 7) == 0;  // 768: where another kernel had an illegal instruction
    const std::int64_t m = wide ? 768 : some_rows(random, 400), n = wide ? 768 : some_sixteens(random, 500),
                       k = offsets.back();
    const std::int64_t sms = between(random, 2, 40);
    std::string what = one_line(fields({"groups", "m", "n", "k", "sms"}, {groups, m, n, k, sms}));
    const Tile tile = some_tile(random, TiledKernel::wgrad, m, n, k, static_cast<int>(sms), what);
    auto work = std::make_unique<WgradWorkload>(m, n, k, offsets, tile, 1, static_cast<int>(sms));
    what += work->spoil(random);
    return RandomCase{what, kFp32CaseTolerance, std::move(work)};
  });
}

}  // namespace railcast::kernels
