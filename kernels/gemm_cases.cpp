#include "kernels/gemm_cases.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/gemm_check.hpp"
#include "kernels/number.hpp"

namespace railcast::kernels {
namespace {

constexpr Bf16 kUnwritten = 0xFFFF;  // as poison() leaves it

/// A small problem and what the CPU says of it. Rows of D that are not written hold nothing.
struct Problem {
  enum class Kind { dense, contiguous, masked, wgrad } kind = Kind::dense;
  std::vector<Quantised> a, b;  ///< a: one, or one a group; b: one a group
  std::vector<int> map;         ///< block_group, valid_rows or k_offsets
  std::vector<double> d;

  bool writes(std::size_t row) const {
    const auto group_rows = static_cast<std::size_t>(a[0].rows);
    if (kind == Kind::contiguous) return map[row / 128] >= 0;
    return kind != Kind::masked || row % group_rows < static_cast<std::size_t>(map[row / group_rows]);
  }
};

Quantised some_tiles(Random& random, std::int64_t rows, std::int64_t k) {
  std::normal_distribution<float> draw;
  std::vector<float> x(static_cast<std::size_t>(rows * k));
  for (float& v : x) v = draw(random);
  return quantise_tiles(x.data(), rows, k);
}

std::vector<Quantised> some_weights(Random& random, std::size_t groups, std::int64_t n, std::int64_t k) {
  std::vector<Quantised> weights;
  for (std::size_t g = 0; g < groups; ++g) {
    std::vector<float> x(static_cast<std::size_t>(n * k));
    std::normal_distribution<float> draw;
    for (float& v : x) v = draw(random);
    weights.push_back(quantise_blocks(x.data(), n, k));
  }
  return weights;
}

Problem some_problem(Random& random) {
  Problem p;
  p.kind = static_cast<Problem::Kind>(between(random, 0, 3));
  const auto groups = static_cast<std::size_t>(p.kind == Problem::Kind::dense ? 1 : between(random, 1, 3));
  const std::int64_t m = between(random, 1, 40), n = 16 * between(random, 1, 20), k = 16 * between(random, 1, 20);
  if (p.kind == Problem::Kind::wgrad) {
    p.map = {0};
    while (p.map.size() <= groups) p.map.push_back(p.map.back() + 128 * static_cast<int>(between(random, 0, 2)));
    p.map.back() += 128;  // not all empty
    p.a = {some_tiles(random, m, p.map.back())}, p.b = {some_tiles(random, n, p.map.back())};
    p.d = wgrad_grouped(p.a[0], p.b[0], p.map, {});
    return p;
  }
  p.b = some_weights(random, groups, n, k);
  if (p.kind == Problem::Kind::dense) {
    p.a = {some_tiles(random, m, k)}, p.d = gemm(p.a[0], p.b[0]);
  } else if (p.kind == Problem::Kind::contiguous) {
    for (int block = 0; block < 3; ++block)
      p.map.push_back(static_cast<int>(between(random, -1, static_cast<std::int64_t>(groups) - 1)));
    p.a = {some_tiles(random, 3 * 128, k)}, p.d = grouped_gemm_contiguous(p.a[0], p.b, p.map);
  } else {
    for (std::size_t g = 0; g < groups; ++g) {
      p.a.push_back(some_tiles(random, m, k)), p.map.push_back(static_cast<int>(between(random, 0, m)));
    }
    p.d = grouped_gemm_masked(p.a, p.b, p.map);
  }
  return p;
}

template <typename T>
DeviceArray<T> on_gpu(const std::vector<Quantised>& parts, std::vector<T> Quantised::*member) {
  std::vector<T> all;
  for (const Quantised& q : parts) all.insert(all.end(), (q.*member).begin(), (q.*member).end());
  return DeviceArray<T>(all);
}

/// The CPU's result, held against the GPU's reference as if a kernel had written it.
class FromCpu : public Workload {
 public:
  explicit FromCpu(Problem problem)
      : p_(std::move(problem)),
        a_(on_gpu(p_.a, &Quantised::data)),
        b_(on_gpu(p_.b, &Quantised::data)),
        a_scales_(on_gpu(p_.a, &Quantised::scales)),
        b_scales_(on_gpu(p_.b, &Quantised::scales)),
        map_(p_.map) {
    for (const Quantised& q : p_.a) c_.rows += q.rows;
    c_.n = p_.b[0].rows, c_.k = p_.a[0].cols, c_.a = a_.get(), c_.b = b_.get();
    c_.a_scales = a_scales_.get(), c_.a_stride = p_.a[0].scale_stride, c_.b_scales = b_scales_.get();
    if (p_.kind == Problem::Kind::contiguous) c_.block_group = map_.get();
    if (p_.kind == Problem::Kind::masked) c_.valid_rows = map_.get(), c_.group_rows = p_.a[0].rows;
    if (p_.kind == Problem::Kind::wgrad) c_.b_stride = p_.b[0].scale_stride;
  }
  void run(int, cudaStream_t) override {}
  Difference check(cudaStream_t stream) override {
    return p_.kind == Problem::Kind::wgrad ? check_sums(stream) : check_bf16(stream);
  }

 private:
  Difference check_bf16(cudaStream_t stream) {
    std::vector<Bf16> d(p_.d.size());
    for (std::size_t i = 0; i < d.size(); ++i)
      d[i] = p_.writes(i / static_cast<std::size_t>(c_.n)) ? bf16_from_float(static_cast<float>(p_.d[i])) : kUnwritten;
    const DeviceArray<Bf16> written(d);
    c_.d = written.get();
    return check_gemm(c_, stream);
  }
  /// FP32, added to what was there.
  Difference check_sums(cudaStream_t stream) {
    const DeviceArray<float> start(p_.d.size());
    fill_start(start.get(), start.size(), stream);
    throw_unless(cudaStreamSynchronize(stream), "filling D");
    std::vector<float> sums = start.host();
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = static_cast<float>(double{sums[i]} + p_.d[i]);
    const DeviceArray<float> written(sums);
    c_.d = written.get(), c_.fp32 = true;
    Difference worst;
    for (std::size_t g = 0; g + 1 < p_.map.size(); ++g) {
      c_.k_begin = p_.map[g], c_.k_end = p_.map[g + 1], c_.group = static_cast<std::int64_t>(g);
      const Difference here = check_gemm(c_, stream);
      worst = {std::max(worst.relative, here.relative), std::max(worst.maximum, here.maximum)};
    }
    return worst;
  }

  Problem p_;
  DeviceArray<std::uint8_t> a_, b_;
  DeviceArray<float> a_scales_, b_scales_;
  DeviceArray<int> map_;
  GemmCheck c_;
};

}  // namespace

void gemm_check_cases(Bench& bench) {
  static constexpr const char* kNames[] = {"dense", "contiguous", "masked", "wgrad"};
  bench.random_cases("gemm_check", [](Random& random) {
    Problem p = some_problem(random);
    const bool sums = p.kind == Problem::Kind::wgrad;
    const std::string what = std::string(kNames[static_cast<int>(p.kind)]) + " " +
                             one_line(fields({"rows", "n", "k"}, {p.a[0].rows, p.b[0].rows, p.a[0].cols}));
    // What is left is D's own rounding: to BF16, or to FP32 of a sum that begins at 0.5.
    return RandomCase{what, sums ? 1e-6 : kBf16CaseTolerance, std::make_unique<FromCpu>(std::move(p))};
  });
}

Tile some_tile(Random& random, TiledKernel kernel, std::int64_t rows, std::int64_t n, std::int64_t k, int sms,
               std::string& what) {
  const std::vector<GemmTile> tiles = railcast::compiled_tiles(kernel);
  const GemmTile& t = tiles[static_cast<std::size_t>(between(random, 0, static_cast<std::int64_t>(tiles.size()) - 1))];
  const std::int64_t clusters = (rows + t.bm - 1) / t.bm * ((n + t.bn - 1) / t.bn), limit = sms > 0 ? sms : 132;
  const bool fits = std::max(t.multicast, t.split) <= limit &&
                    (t.split == 1 || (clusters * t.split <= limit && 128 * t.split < k + 128));
  if (between(random, 0, 1) == 0 || !fits) return {};
  what += " tile=" + railcast::describe(t);
  return {t.bm, t.bn, t.multicast, t.split};
}

std::vector<int> drawn_rows(std::size_t seed, std::int64_t groups, std::int64_t m) {
  static constexpr std::array<std::array<double, 32>, 3> kDrawn{
      {{0.1343642, 0.8474337, 0.7637746, 0.2550690, 0.4954351, 0.4494911, 0.6515930, 0.7887234,
        0.0938596, 0.0283475, 0.8357651, 0.4327671, 0.7622801, 0.0021061, 0.4453872, 0.7215400,
        0.2287622, 0.9452707, 0.9014275, 0.0305900, 0.0254459, 0.5414125, 0.9391492, 0.3812042,
        0.2165994, 0.4221166, 0.0290408, 0.2216917, 0.4378876, 0.4958122, 0.2330845, 0.2308665},
       {0.9560343, 0.9478275, 0.0565514, 0.0848720, 0.8354989, 0.7359700, 0.6697304, 0.3081365,
        0.6059442, 0.6068017, 0.5812040, 0.1583829, 0.4306696, 0.3935318, 0.7230121, 0.9948196,
        0.9493955, 0.5441770, 0.4448542, 0.2682407, 0.0359243, 0.0274449, 0.4648939, 0.3184651,
        0.3800149, 0.8917895, 0.5257528, 0.5605104, 0.2361234, 0.0238581, 0.3251429, 0.1366974},
       {0.2379646, 0.5442292, 0.3699552, 0.6039200, 0.6257203, 0.0655289, 0.0131680, 0.8374691,
        0.2593540, 0.2343310, 0.9956448, 0.4702635, 0.8364615, 0.4763532, 0.6390681, 0.1506164,
        0.6348607, 0.8680453, 0.5231812, 0.7412519, 0.6714115, 0.0640314, 0.7582302, 0.5910996,
        0.3012677, 0.0310118, 0.8655272, 0.4727491, 0.7188239, 0.8788128, 0.7141295, 0.9210987}}};
  std::vector<int> rows;
  for (std::int64_t g = 0; g < groups; ++g)
    rows.push_back(
        static_cast<int>((0.7 + 0.6 * kDrawn.at(seed - 1)[static_cast<std::size_t>(g) % 32]) * static_cast<double>(m)));
  return rows;
}

std::string listed(const std::vector<int>& rows) {
  std::string text;
  for (const int r : rows) text += (text.empty() ? "" : " ") + std::to_string(r);
  return text;
}

std::string spoil_some(Random& random, DeviceArray<std::uint8_t>& codes, DeviceArray<float>& scales) {
  if (codes.size() == 0 || between(random, 0, 7) > 0) return "";
  const auto some = [&](std::size_t count) {
    return static_cast<std::size_t>(between(random, 0, static_cast<std::int64_t>(count) - 1));
  };
  constexpr float infinity = std::numeric_limits<float>::infinity();
  throw_unless(cudaMemset(codes.get() + some(codes.size()), 0x7F, 1), "writing a NaN");
  throw_unless(cudaMemcpy(scales.get() + some(scales.size()), &infinity, sizeof infinity, cudaMemcpyHostToDevice),
               "writing an infinity");
  throw_unless(cudaDeviceSynchronize(), "writing an infinity");  // the case runs in a stream that does not wait
  return " with a NaN and an infinite scale";
}

}  // namespace railcast::kernels
