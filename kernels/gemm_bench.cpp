// Suites of the dense GEMM: the shapes of DeepSeek-V3's layers, fewer SMs, and every compiled tile.
#include <cstdio>
#include <exception>

#include "kernels/bench.hpp"
#include "kernels/device_array.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_cases.hpp"
#include "kernels/gemm_check.hpp"
#include "kernels/peers.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

class GemmWorkload : public GemmSets {
 public:
  GemmWorkload(std::int64_t m, std::int64_t n, std::int64_t k, int sms, Tile tile, int sets) : sms_(sms) {
    args_.m = m, args_.n = n, args_.k = k, args_.tile = tile;
    args_.a_scale_stride = (m + 3) / 4 * 4;
    for (int s = 0; s < sets; ++s) sets_.push_back(make_set(static_cast<std::uint32_t>(s)));
    throw_unless(cudaDeviceSynchronize(), "filling the data of a GEMM");
  }

  void run(int set, cudaStream_t stream) override { gemm(with(set), {stream, sms_, true}); }

  Difference check(cudaStream_t stream) override {
    const GemmArgs args = with(0);
    GemmCheck c;
    c.rows = args.m, c.n = args.n, c.k = args.k;
    c.a = static_cast<const std::uint8_t*>(args.a), c.b = static_cast<const std::uint8_t*>(args.b), c.d = args.d;
    c.a_scales = args.a_scales, c.a_stride = args.a_scale_stride, c.b_scales = args.b_scales;
    poison(args.d, sets_[0].d.size(), stream);
    run(0, stream);
    return check_gemm(c, stream);
  }

 private:
  GemmSet make_set(std::uint32_t seed) const {
    const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const std::int64_t k_blocks = (args_.k + 127) / 128;
    GemmSet s;
    s.a = DeviceArray<std::uint8_t>(count(args_.m * args_.k)),
    s.b = DeviceArray<std::uint8_t>(count(args_.n * args_.k));
    s.d = DeviceArray<std::uint8_t>(count(2 * args_.m * args_.n));
    s.a_scales = DeviceArray<float>(count(k_blocks * args_.a_scale_stride));
    s.b_scales = DeviceArray<float>(count((args_.n + 127) / 128 * k_blocks));
    fill_codes(s.a.get(), s.a.size(), 2 * seed, nullptr), fill_codes(s.b.get(), s.b.size(), 2 * seed + 1, nullptr);
    fill_uniform(s.a_scales.get(), s.a_scales.size(), 0.005F, 0.02F, 1000 + seed, nullptr);
    fill_uniform(s.b_scales.get(), s.b_scales.size(), 0.005F, 0.02F, 2000 + seed, nullptr);
    return s;
  }
  GemmArgs with(int set) const {
    const GemmSet& s = sets_[static_cast<std::size_t>(set)];
    GemmArgs args = args_;
    args.a = s.a.get(), args.b = s.b.get(), args.d = s.d.get();
    args.a_scales = s.a_scales.get(), args.b_scales = s.b_scales.get();
    return args;
  }

  GemmArgs args_;
  int sms_;
};

/// Sums that are never promoted: 3.4e-3 at K = 16384 was measured of this peer.
constexpr double kFastSumTolerance = 5e-3;

Case gemm_case(const std::vector<std::int64_t>& shape, const std::string& impl) {
  const std::int64_t m = shape.at(0), n = shape.at(1), k = shape.at(2);
  const auto d = [](std::int64_t x) { return static_cast<double>(x); };
  const double element = impl == "cublaslt_bf16" ? 2 : 1;
  Case c;
  c.stem = "gemm", c.shape = fields({"m", "n", "k"}, shape), c.impl = impl;
  c.dtype = impl == "cublaslt_bf16" ? "bf16" : impl == "cublaslt_fp8" ? "fp8_tensor" : "fp8_block";
  c.flops = 2 * d(m) * d(n) * d(k);
  c.bytes = element * (d(m * k) + d(n * k)) + 2 * d(m * n);
  c.set_bytes = c.bytes;
  if (impl == "cublaslt_fp8") c.tolerance = kFastSumTolerance;
  c.notes = {{"tile", "-"}};
  c.make = [=](int sets) { return cublaslt_gemm(impl, m, n, k, sets); };
  return c;
}

Case railcast_case(const std::vector<std::int64_t>& shape, int sms, Tile tile) {
  Case c = gemm_case(shape, "railcast");
  c.sms = sms;
  GemmArgs args;
  args.m = shape.at(0), args.n = shape.at(1), args.k = shape.at(2), args.tile = tile;
  c.notes = {{"tile", describe(choose_tile(args, sms))}};
  c.make = [=](int sets) {
    return std::make_unique<GemmWorkload>(shape.at(0), shape.at(1), shape.at(2), sms, tile, sets);
  };
  return c;
}

/// The six (N, K) of DeepSeek-V3's dense projections for each M, and one square.
std::vector<std::vector<std::int64_t>> usual_shapes() {
  std::vector<std::vector<std::int64_t>> shapes;
  for (const int m : {64, 128, 256, 1024, 4096, 8192})
    for (const auto& [n, k] :
         {std::pair{2112, 7168}, {24576, 1536}, {32768, 512}, {7168, 16384}, {4096, 7168}, {7168, 2048}})
      shapes.push_back({m, n, k});
  shapes.push_back({8192, 8192, 8192});
  return shapes;
}

}  // namespace

void gemm_suite(Bench& bench) {
  for (const auto& shape : bench.shapes("gemm", usual_shapes())) {
    for (const char* peer : {"cublaslt_block", "cublaslt_fp8", "cublaslt_bf16"}) bench.measure(gemm_case(shape, peer));
    bench.measure(railcast_case(shape, 0, {}));
  }
}

void gemm_cases(Bench& bench) {
  bench.random_cases("gemm", [](Random& random) {
    const bool tall = between(random, 0, 7) == 0;  // several strips of row tiles
    const std::int64_t m = some_rows(random, tall ? 6000 : 900), n = some_sixteens(random, tall ? 400 : 1100),
                       k = some_sixteens(random, tall ? 600 : 2300);
    const int sms = some_sms(random);
    std::string what = one_line(fields({"m", "n", "k", "sms"}, {m, n, k, sms}));
    const Tile tile = some_tile(random, TiledKernel::dense, m, n, k, sms, what);
    auto work = std::make_unique<GemmWorkload>(m, n, k, sms, tile, 1);
    what += work->spoil(random);
    return RandomCase{what, kBf16CaseTolerance, std::move(work)};
  });
  gemm_check_cases(bench);
}

void gemm_sms_suite(Bench& bench) {
  for (const auto& shape : bench.shapes("gemm_sms", {{4096, 4096, 7168}, {8192, 24576, 1536}, {4096, 7168, 2048}}))
    for (const int sms : {128, 124, 120, 116, 112, 108, 104, 100, 96, 88, 80, 72, 64})
      if (sms < bench.sms()) bench.measure(railcast_case(shape, sms, {}));
}

/// Lines of --shapes: gemm_tiles,m,n,k[,bm,bn,multicast,split]...; without a tile all that are compiled are
/// tried.
void gemm_tiles_suite(Bench& bench) {
  for (const auto& line : bench.shapes("gemm_tiles", {{4096, 4096, 7168}})) {
    const std::vector<std::int64_t> shape(line.begin(), line.begin() + 3);
    std::vector<Tile> tiles;
    for (std::size_t i = 3; i + 3 < line.size(); i += 4) tiles.push_back(tile_in(line, i));
    if (tiles.empty()) tiles = compiled_tiles();
    for (const Tile& tile : tiles) {
      Case c = railcast_case(shape, 0, tile);
      c.shape.emplace_back("tile", describe(tile)), c.notes = {};
      c.stem = "gemm_tiles";
      bench.measure(c);
    }
  }
}

}  // namespace railcast::kernels
