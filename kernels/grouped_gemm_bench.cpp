// Suites of the grouped GEMM. The CSV's m is rows per group: even groups as given, uneven and masked ones as drawn_rows
// draws them.
#include <algorithm>

#include "kernels/bench.hpp"
#include "kernels/device_array.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_cases.hpp"
#include "kernels/gemm_check.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

/// `rows` rows of A and D, `scale_tables` scale tables of A.
GemmSet make_set(std::int64_t rows, std::int64_t scale_rows, std::int64_t groups, std::int64_t n, std::int64_t k,
                 std::uint32_t seed) {
  const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  const std::int64_t k_blocks = (k + 127) / 128;
  GemmSet s;
  s.a = DeviceArray<std::uint8_t>(count(rows * k)), s.b = DeviceArray<std::uint8_t>(count(groups * n * k));
  s.d = DeviceArray<std::uint8_t>(count(2 * rows * n));
  s.a_scales = DeviceArray<float>(count(k_blocks * scale_rows));
  s.b_scales = DeviceArray<float>(count(groups * ((n + 127) / 128) * k_blocks));
  fill_codes(s.a.get(), s.a.size(), 2 * seed, nullptr), fill_codes(s.b.get(), s.b.size(), 2 * seed + 1, nullptr);
  fill_uniform(s.a_scales.get(), s.a_scales.size(), 0.005F, 0.02F, 1000 + seed, nullptr);
  fill_uniform(s.b_scales.get(), s.b_scales.size(), 0.005F, 0.02F, 2000 + seed, nullptr);
  return s;
}

class ContiguousWorkload : public GemmSets {
 public:
  /// used: rows in use as the GPU is told; -1: it is told nothing.
  ContiguousWorkload(std::int64_t groups, const std::vector<int>& block_group, int used, std::int64_t n, std::int64_t k,
                     int sms, Tile tile, int sets)
      : sms_(sms), used_(used), block_group_(block_group), device_used_(std::vector<int>{used}) {
    if (used >= 0) args_.rows = device_used_.get();
    args_.groups = groups, args_.m = static_cast<std::int64_t>(block_group.size()) * 128, args_.n = n, args_.k = k;
    args_.a_scale_stride = args_.m, args_.block_group = block_group_.get(), args_.tile = tile;
    for (int s = 0; s < sets; ++s)
      sets_.push_back(make_set(args_.m, args_.m, groups, n, k, static_cast<std::uint32_t>(s)));
    throw_unless(cudaDeviceSynchronize(), "filling the data of a grouped GEMM");
  }
  void run(int set, cudaStream_t stream) override { grouped_gemm_contiguous(with(set), {stream, sms_, true}); }
  Difference check(cudaStream_t stream) override {
    const GemmSet& s = sets_[0];
    GemmCheck c;
    c.rows = args_.m, c.n = args_.n, c.k = args_.k, c.a = s.a.get(), c.b = s.b.get(), c.d = s.d.get();
    c.a_scales = s.a_scales.get(), c.a_stride = args_.a_scale_stride, c.b_scales = s.b_scales.get();
    c.block_group = block_group_.get(), c.used_rows = used_;
    poison(s.d.get(), s.d.size(), stream);
    run(0, stream);
    return check_gemm(c, stream);
  }

 private:
  GroupedGemmArgs with(int set) const {
    const GemmSet& s = sets_[static_cast<std::size_t>(set)];
    GroupedGemmArgs args = args_;
    args.a = s.a.get(), args.b = s.b.get(), args.d = s.d.get();
    args.a_scales = s.a_scales.get(), args.b_scales = s.b_scales.get();
    return args;
  }
  GroupedGemmArgs args_;
  int sms_, used_;
  DeviceArray<int> block_group_, device_used_;
};

class MaskedWorkload : public GemmSets {
 public:
  /// m: what is expected; the buffer holds the largest of `rows`, rounded up.
  MaskedWorkload(std::int64_t groups, std::int64_t m, const std::vector<int>& rows, std::int64_t n, std::int64_t k,
                 Tile tile, int sets, int sms = 0, int round_to = 128)
      : sms_(sms), valid_rows_(rows) {
    const int most = std::max(1, *std::max_element(rows.begin(), rows.end()));
    args_.groups = groups, args_.m = (most + round_to - 1) / round_to * round_to, args_.n = n, args_.k = k,
    args_.expected_m = m;
    args_.a_scale_stride = args_.m, args_.valid_rows = valid_rows_.get(), args_.tile = tile;
    for (int s = 0; s < sets; ++s)
      sets_.push_back(make_set(groups * args_.m, groups * args_.m, groups, n, k, static_cast<std::uint32_t>(s)));
    throw_unless(cudaDeviceSynchronize(), "filling the data of a masked GEMM");
  }
  void run(int set, cudaStream_t stream) override { grouped_gemm_masked(with(set), {stream, sms_, true}); }
  Difference check(cudaStream_t stream) override {
    const GemmSet& s = sets_[0];
    GemmCheck c;
    c.rows = args_.groups * args_.m, c.n = args_.n, c.k = args_.k, c.a = s.a.get(), c.b = s.b.get(), c.d = s.d.get();
    c.a_scales = s.a_scales.get(), c.a_stride = args_.a_scale_stride, c.b_scales = s.b_scales.get();
    c.valid_rows = valid_rows_.get(), c.group_rows = args_.m;
    poison(s.d.get(), s.d.size(), stream);
    run(0, stream);
    return check_gemm(c, stream);
  }

 private:
  MaskedGemmArgs with(int set) const {
    const GemmSet& s = sets_[static_cast<std::size_t>(set)];
    MaskedGemmArgs args = args_;
    args.a = s.a.get(), args.b = s.b.get(), args.d = s.d.get();
    args.a_scales = s.a_scales.get(), args.b_scales = s.b_scales.get();
    return args;
  }
  MaskedGemmArgs args_;
  int sms_;
  DeviceArray<int> valid_rows_;
};

std::vector<int> blocks_of(const std::vector<int>& rows) {
  std::vector<int> blocks;
  for (std::size_t g = 0; g < rows.size(); ++g)
    blocks.insert(blocks.end(), static_cast<std::size_t>((rows[g] + 127) / 128), static_cast<int>(g));
  return blocks;
}

/// Unequal, every third empty on average.
std::vector<int> some_groups(Random& random, std::int64_t most) {
  std::vector<int> rows;
  for (std::int64_t g = between(random, 1, 9); g > 0; --g)
    rows.push_back(between(random, 0, 2) == 0 ? 0 : static_cast<int>(between(random, 1, most)));
  return rows;
}

/// What both have in common: work counted on valid rows only.
Case grouped_case(const char* stem, const std::vector<std::int64_t>& shape, const std::vector<int>& rows) {
  double valid = 0;
  for (const int r : rows) valid += r;
  const auto groups = static_cast<double>(shape[0]), n = static_cast<double>(shape[2]),
             k = static_cast<double>(shape[3]);
  Case c;
  c.stem = stem, c.shape = fields({"groups", "m", "n", "k"}, {shape.begin(), shape.begin() + 4});
  c.flops = 2 * valid * n * k;
  c.bytes = groups * n * k + valid * k + 2 * valid * n;
  c.set_bytes = c.bytes;
  return c;
}

/// Which tile runs, and "22 30 34": the rows of each group.
template <class Args>
Fields notes_of(Args args, const std::vector<std::int64_t>& shape, std::int64_t m, const std::vector<int>& rows,
                Tile tile) {
  args.groups = shape[0], args.m = m, args.n = shape[2], args.k = shape[3], args.tile = tile;
  return {{"tile", describe(choose_tile(args, 0))}, {"group_rows", listed(rows)}};
}

}  // namespace

/// Lines of --shapes: grouped_gemm_contiguous,groups,m,n,k,uneven[,bm,bn,multicast,split]
void grouped_gemm_contiguous_suite(Bench& bench) {
  std::vector<std::vector<std::int64_t>> usual;
  for (const auto& [groups, m] : {std::pair{4, 8192}, {8, 4096}, {32, 256}, {8, 512}})
    for (const auto& [n, k] : {std::pair{4096, 7168}, {7168, 2048}})
      for (const int uneven : {0, 1}) usual.push_back({groups, m, n, k, uneven});
  for (const auto& line : bench.shapes("grouped_gemm_contiguous", usual)) {
    const std::vector<int> rows =
        line.at(4) == 0 ? std::vector<int>(static_cast<std::size_t>(line.at(0)), static_cast<int>(line.at(1)))
                        : drawn_rows(1, line.at(0), line.at(1));
    Case c = grouped_case("grouped_gemm_contiguous", line, rows);
    c.shape.emplace_back("uneven", std::to_string(line[4]));
    const Tile tile = tile_in(line, 5);
    c.notes = notes_of(GroupedGemmArgs{}, line, 128 * static_cast<std::int64_t>(blocks_of(rows).size()), rows, tile);
    c.make = [=](int sets) {
      return std::make_unique<ContiguousWorkload>(line[0], blocks_of(rows), -1, line[2], line[3], 0, tile, sets);
    };
    if (tile.bm > 0) c.stem = "tile " + describe(tile);
    bench.measure(c);
  }
}

/// Unequal and empty experts, blocks of padding, and sometimes fewer rows in use than the buffer has.
void grouped_gemm_contiguous_cases(Bench& bench) {
  bench.random_cases("grouped_gemm_contiguous", [](Random& random) {
    const std::vector<int> rows = some_groups(random, 500);
    std::vector<int> blocks = blocks_of(rows);
    for (std::int64_t padding = between(random, 0, 3); padding > 0; --padding)
      blocks.insert(blocks.begin() + between(random, 0, static_cast<std::int64_t>(blocks.size())), -1);
    const auto groups = static_cast<std::int64_t>(rows.size()), m = static_cast<std::int64_t>(blocks.size()) * 128;
    const auto used = between(random, 0, 1) == 0 ? -1 : static_cast<int>(128 * between(random, 0, m / 128));
    const std::int64_t n = some_sixteens(random, 900), k = some_sixteens(random, 1500);
    const int sms = some_sms(random);
    std::string what = one_line(fields({"groups", "m", "used", "n", "k", "sms"}, {groups, m, used, n, k, sms}));
    const Tile tile = some_tile(random, TiledKernel::grouped, m, n, k, sms, what);
    auto work = std::make_unique<ContiguousWorkload>(groups, blocks, used, n, k, sms, tile, 1);
    what += work->spoil(random);
    return RandomCase{what, kBf16CaseTolerance, std::move(work)};
  });
}

/// Lines of --shapes: grouped_gemm_masked,groups,m,n,k[,bm,bn,multicast,split]; rows are always uneven.
void grouped_gemm_masked_suite(Bench& bench) {
  std::vector<std::vector<std::int64_t>> usual;
  for (const auto& [groups, m] : {std::pair{1, 1024}, {2, 512}, {4, 256}, {8, 128}, {16, 64}, {32, 64}})
    for (const auto& [n, k] : {std::pair{4096, 7168}, {7168, 2048}}) usual.push_back({groups, m, n, k});
  for (const auto& line : bench.shapes("grouped_gemm_masked", usual)) {
    const std::vector<int> rows = drawn_rows(2, line.at(0), line.at(1));
    Case c = grouped_case("grouped_gemm_masked", line, rows);
    const Tile tile = tile_in(line, 4);
    c.notes = notes_of(MaskedGemmArgs{}, line, line[1], rows, tile);
    c.make = [=](int sets) {
      return std::make_unique<MaskedWorkload>(line[0], line[1], rows, line[2], line[3], tile, sets);
    };
    if (tile.bm > 0) c.stem = "tile " + describe(tile);
    bench.measure(c);
  }
}

void grouped_gemm_masked_cases(Bench& bench) {
  bench.random_cases("grouped_gemm_masked", [](Random& random) {
    const std::vector<int> rows = some_groups(random, 300);
    const auto groups = static_cast<std::int64_t>(rows.size()), expected = between(random, 1, 300);
    const std::int64_t n = some_sixteens(random, 900), k = some_sixteens(random, 1500);
    const int round_to = between(random, 0, 1) == 0 ? 128 : 4, sms = some_sms(random);
    std::string what = one_line(fields({"groups", "expected_m", "n", "k", "sms"}, {groups, expected, n, k, sms}));
    const Tile tile = some_tile(random, TiledKernel::masked, expected, n, k, sms, what);
    auto work = std::make_unique<MaskedWorkload>(groups, expected, rows, n, k, tile, 1, sms, round_to);
    what += work->spoil(random);
    return RandomCase{what, kBf16CaseTolerance, std::move(work)};
  });
}

}  // namespace railcast::kernels
