#include "model/forms.hpp"

#include <algorithm>
#include <cmath>

#include "model/floor.hpp"

namespace railcast {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }
double ceil_div(double a, double b) { return std::ceil(a / b); }
double log2_of(double x) { return std::log2(std::max(1.0, x)); }

/// The sizes of a GEMM-like shape.
struct Sizes {
  double groups = 1, m = 0, n = 0, k = 0;
};

Sizes sizes(const Shape& s) {
  return std::visit(
      [](const auto& x) -> Sizes {
        if constexpr (requires { x.groups, x.m, x.n, x.k; }) {
          return {d(x.groups), d(x.m), d(x.n), d(x.k)};
        } else if constexpr (requires { x.m, x.n, x.k; }) {
          return {1, d(x.m), d(x.n), d(x.k)};
        }
        return {};
      },
      s);
}

/// A collective's vector, ranks and the share of it that leaves a rank; `kind` is its place among the collectives,
/// ring-like ones near each other.
struct Messages {
  double bytes = 0, ranks = 1, sent = 0;
  std::size_t kind = 0;
};
constexpr std::size_t kCollectives = 4;

Messages messages(const Shape& s) {
  return std::visit(
      [](const auto& x) -> Messages {
        if constexpr (requires { x.bytes, x.ranks; }) {
          const double n = d(x.ranks);
          using S = std::decay_t<decltype(x)>;
          constexpr bool reduce = std::is_same_v<S, AllReduce>, gather = std::is_same_v<S, AllGather>;
          const std::size_t kind = reduce ? 0 : gather ? 1 : std::is_same_v<S, ReduceScatter> ? 2 : 3;
          return {d(x.bytes), n, (reduce ? 2 : 1) * (n - 1) / n, kind};
        }
        return {};
      },
      s);
}

// 128 bytes of K a step: how TMA and the 128-byte swizzle cut it.
double steps(const Sizes& z, Dtype t, const OutputTile& tile) {
  return ceil_div(ceil_div(z.k, 128 / bytes_per_element(t)), d(tile.split));
}
double tiles(const Sizes& z, const OutputTile& t) {
  return z.groups * ceil_div(z.m, d(t.rows)) * ceil_div(z.n, d(t.cols));
}
double waves(const Sizes& z, const OutputTile& t, std::int64_t sms) {
  return std::ceil(tiles(z, t) * d(t.split) / d(sms));
}

bool large(const OutputTile& t) { return t.rows * t.cols >= 128 * 160 && t.split == 1; }

Values tile_features(const Machine& m, const Shape& s, std::int64_t sms, const OutputTile& t) {
  const Sizes z = sizes(s);
  const Dtype type = dtype_of(s);
  const double peak = peak_of(m.chip(), type).per_second() * 1e-6, hbm = m.hbm.per_second() * 1e-6;  // per us
  const double w = waves(z, t, sms), k = steps(z, type, t), area = d(t.rows * t.cols), all = d(m.sms);
  const double depth = 128 / bytes_per_element(type), share = std::min(1.0, 4 * d(sms) / all);
  const bool odd = static_cast<std::int64_t>(z.m) % 4 != 0 && type == Dtype::fp8_block;
  Values f{1,
           w,
           w * k,
           w * k * area * 2 * depth * all / peak,
           w * k * d(t.rows + t.cols) * 128 * all / hbm,
           w * area * 2 * all / hbm,
           hbm_bytes(s) / (share * hbm),
           flops(s) / peak,
           odd ? 1.0 : 0.0,
           odd ? z.groups * z.m * z.k / 32 / hbm : 0};
  for (const OutputTile& lone : output_tiles())
    if (large(lone)) f.push_back(w == 1 && lone.rows == t.rows && lone.cols == t.cols && t.split == 1 ? k : 0);
  return f;
}

double output_rows(const Shape& s) {
  return std::visit(
      [](const auto& x) -> double {
        if constexpr (requires { x.rows; }) return d(x.rows);
        if constexpr (requires { x.tokens; }) return d(x.tokens);
        if constexpr (requires { x.q_len; }) return d(x.batch * x.heads * x.q_len);
        return 1;
      },
      s);
}

Values work_features(const Machine& m, const Shape& s, std::int64_t sms) {
  const double share = d(sms) / d(m.sms), hbm = m.hbm.per_second() * 1e-6;
  return {1, flops(s) / (share * peak_of(m.chip(), dtype_of(s)).per_second() * 1e-6),
          hbm_bytes(s) / (std::min(1.0, 4 * share) * hbm), output_rows(s) / d(sms) / 1024};
}

Values message_features(const Machine& m, const Shape& s) {
  const Messages z = messages(s);
  const double wire = z.sent * z.bytes / (m.nvlink.per_second() * 1e-6);
  Values f(4 * kCollectives);
  const std::array own{1.0, z.ranks - 1, wire, std::sqrt(wire)};
  std::ranges::copy(own, f.begin() + static_cast<std::ptrdiff_t>(4 * z.kind));
  return f;
}

/// log2 of the smallest tile with which `wanted` waves do.
double smallest_area(const Sizes& z, std::int64_t sms, double wanted) {
  double least = 65536;
  for (const OutputTile& t : output_tiles())
    if (t.split == 1 && waves(z, t, sms) <= wanted) least = std::min(least, d(t.rows * t.cols));
  return std::log2(least);
}

/// Least is best.
double by_waves(const Sizes& z, const OutputTile& t, std::int64_t sms, TileChoice choice) {
  const double n = tiles(z, t), w = std::ceil(n / d(sms));
  if (choice == TileChoice::fewest_waves) return w * 1e6 + d(t.rows * t.cols) + 1e-3 * d(t.rows + t.cols);
  if ((t.rows == 64) != (z.m <= 64) || (t.rows == 256 && z.m <= 192)) return INFINITY;
  return w * 1e6 - (n - (w - 1) * d(sms)) - 1e-4 * d(t.rows) + 1e-7 * d(t.cols);
}

Values tile_coordinates(const Machine& m, const Shape& s, std::int64_t sms, const OutputTile& t,
                        const Variant& variant) {
  const Sizes z = sizes(s);
  const double w = waves(z, t, sms), k = steps(z, dtype_of(s), {1, 1, 1});
  const bool odd = static_cast<std::int64_t>(z.m) % 4 != 0;
  return {log2_of(z.m),
          log2_of(z.n),
          log2_of(z.k),
          log2_of(z.groups),
          odd ? 1.0 : 0.0,
          smallest_area(z, sms, 1),
          smallest_area(z, sms, 2),
          std::min(w, 4.0),
          tiles(z, t) * d(t.split) / (w * d(sms)),
          log2_of(hbm_bytes(s)),
          std::fmod(k, 4) / 4,
          std::log2(d(sms) / d(m.sms)),
          z.m < 6 ? 1.0 : 0.0,
          variant[0]};
}

}  // namespace

const char* name(Form f) {
  static constexpr std::array names{"tiles", "work", "messages"};
  return names.at(static_cast<std::size_t>(f));
}

double message_bytes(const Shape& s) { return messages(s).bytes; }

bool fittable(const Shape& s) { return form_of(s) != Form::messages || messages(s).bytes > 0; }

std::string fit_family(const Shape& s) { return form_of(s) == Form::messages ? "collective" : family(s); }

const char* name(TileChoice c) {
  static constexpr std::array names{"fewest waves", "fullest wave", "least time"};
  return names.at(static_cast<std::size_t>(c));
}

Form form_of(const Shape& s) {
  if (is_collective(s)) return Form::messages;
  return sizes(s).m > 0 ? Form::tiles : Form::work;
}

const std::vector<OutputTile>& output_tiles() {
  static const std::vector<OutputTile> all = [] {
    std::vector<OutputTile> t;
    for (std::int64_t cols : {16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256}) t.push_back({64, cols, 1});
    for (std::int64_t cols : {16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192}) t.push_back({128, cols, 1});
    for (std::int64_t cols : {32, 64, 80, 96, 112, 128}) t.push_back({256, cols, 1});
    for (std::int64_t split : {2, 4, 8})
      for (std::int64_t rows : {64, 128})
        for (std::int64_t cols : {64, 128}) t.push_back({rows, cols, split});
    return t;
  }();
  return all;
}

Values features(const Machine& m, const Shape& s, std::int64_t sms, const OutputTile& tile) {
  switch (form_of(s)) {
    case Form::tiles:
      return tile_features(m, s, sms, tile);
    case Form::work:
      return work_features(m, s, sms);
    case Form::messages:
      return message_features(m, s);
  }
  return {};
}

OutputTile chosen_tile(const Machine& m, const Shape& s, std::int64_t sms, TileChoice choice, const Values& prices) {
  if (form_of(s) != Form::tiles) return {};
  const Sizes z = sizes(s);
  OutputTile best;
  double least = INFINITY;
  for (const OutputTile& t : output_tiles()) {
    if (choice != TileChoice::least_time && t.split > 1) continue;
    const double score =
        choice == TileChoice::least_time ? priced(prices, tile_features(m, s, sms, t)) : by_waves(z, t, sms, choice);
    if (score < least) least = score, best = t;
  }
  return best;
}

Values coordinates(const Machine& m, const Shape& s, std::int64_t sms, const OutputTile& tile, const Variant& variant) {
  switch (form_of(s)) {
    case Form::tiles:
      return tile_coordinates(m, s, sms, tile, variant);
    case Form::work:
      return {log2_of(flops(s) > 0 ? flops(s) : hbm_bytes(s)), log2_of(output_rows(s)),
              flops(s) > 0 ? std::log2(flops(s) / hbm_bytes(s)) : 0.0, std::log2(d(sms) / d(m.sms)), variant[0]};
    case Form::messages:
      return {log2_of(messages(s).bytes), log2_of(messages(s).ranks), variant[0], variant[1],
              static_cast<double>(messages(s).kind)};
  }
  return {};
}

const Values& usual_scales(Form f) {
  static const std::array<Values, 3> scales{Values{3, 3, 2, 2, 1, 2, 3, 4, 1, 4, 0.8, 0.5, 1, 1},
                                            Values{3, 3, 3, 0.5, 1}, Values{3, 1, 4, 2, 2}};
  return scales[static_cast<std::size_t>(f)];
}

double priced(const Values& prices, const Values& features) {
  double sum = 0;
  for (std::size_t i = 0; i < std::min(prices.size(), features.size()); ++i) sum += prices[i] * features[i];
  return sum;
}

}  // namespace railcast
