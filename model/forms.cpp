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

/// A collective's vector, ranks and the share of it that leaves a rank; `kind` is its place among the collectives.
struct Messages {
  double bytes = 0, ranks = 1, sent = 0;
  std::size_t kind = 0;
};
constexpr std::size_t kCollectives = 4;

/// Rows and columns of the tiles that railcast's kernels are compiled for; a step of 128x160, which few problems take,
/// costs as one of 128x192 by its columns.
constexpr std::array<std::array<int, 2>, 8> kOwnTiles{
    {{256, 128}, {192, 128}, {128, 192}, {128, 128}, {128, 64}, {64, 128}, {64, 64}, {64, 32}}};

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

// 128 bytes of K a step: how TMA and the 128-byte swizzle cut it. Of a wgrad by group, the mean of its groups.
double steps(const Problem& p, const Sizes& z, const GemmTile& tile) {
  const double depth = 128 / bytes_per_element(dtype_of(p.shape));
  if (!std::holds_alternative<WgradGrouped>(p.shape) || p.group_rows.empty())
    return ceil_div(ceil_div(z.k, depth), tile.split);
  double sum = 0;
  for (const std::int64_t tokens : p.group_rows) sum += ceil_div(ceil_div(d(tokens), depth), tile.split);
  return sum / z.groups;
}
double row_tiles(const Problem& p, const Sizes& z, const GemmTile& t) {
  if (std::holds_alternative<WgradGrouped>(p.shape)) return z.groups * ceil_div(z.m, t.bm);
  double sum = 0;
  for (const std::int64_t rows : p.group_rows) sum += ceil_div(d(rows), t.bm);
  return p.group_rows.empty() ? z.groups * ceil_div(z.m, t.bm) : sum;
}
/// Clusters of a tile and how many run at once.
struct Cut {
  double clusters = 0, at_once = 1;
  double waves() const { return std::ceil(clusters / at_once); }
  double filled() const { return clusters / (waves() * at_once); }
};
Cut cut(const Problem& p, const Sizes& z, const GemmTile& t) {
  const int size = std::max(t.multicast, t.split);
  return {row_tiles(p, z, t) * ceil_div(ceil_div(z.n, t.bn), t.multicast),
          std::max(1.0, resident_clusters(size, static_cast<int>(p.sms)))};
}

bool large(const GemmTile& t) { return t.bm * t.bn >= 128 * 128 && t.split == 1; }

/// Mean rows of the groups (tokens of a wgrad), as the shape says or as they were.
Shape as_run(const Problem& p) {
  Shape s = p.shape;
  if (p.group_rows.empty()) return s;
  std::int64_t sum = 0;
  for (const std::int64_t rows : p.group_rows) sum += rows;
  const auto groups = static_cast<std::int64_t>(p.group_rows.size());
  std::visit(
      [&](auto& x) {
        const std::int64_t mean = std::max<std::int64_t>(1, (sum + groups / 2) / groups);
        if constexpr (std::is_same_v<std::decay_t<decltype(x)>, WgradGrouped>) {
          x.k = mean;
        } else if constexpr (requires { x.groups, x.m; }) {
          x.m = mean;
        }
      },
      s);
  return s;
}

Values tile_features(const Machine& m, const Problem& p, const GemmTile& t) {
  const Sizes z = sizes(p.shape);
  const Dtype type = dtype_of(p.shape);
  const double peak = peak_of(m.chip(), type).per_second() * 1e-6, hbm = m.hbm.per_second() * 1e-6;  // per us
  const double w = cut(p, z, t).waves(), k = steps(p, z, t), area = t.bm * t.bn, all = d(m.sms);
  const double depth = 128 / bytes_per_element(type), share = std::min(1.0, 4 * d(p.sms) / all);
  const double loads = 1.0 * t.bm / t.multicast + t.bn;  // rows and columns that come out of L2, a step
  const double l2 = row_tiles(p, z, t) * ceil_div(z.n, t.bn) * k * t.split * loads * 128;
  const bool odd = static_cast<std::int64_t>(z.m) % 4 != 0 && type == Dtype::fp8_block;
  const Shape run = as_run(p);
  Values f{1,
           w,
           w * k,
           w * k * area * 2 * depth * all / peak,
           w * k * loads * 128 * all / hbm,
           w * area * 2 * all / hbm,
           hbm_bytes(run) / (share * hbm),
           flops(run) / peak,
           odd ? 1.0 : 0.0,
           odd ? z.groups * z.m * z.k / 32 / hbm : 0,
           l2 / hbm * all / d(p.sms),
           t.split > 1 ? w : 0,
           t.split > 1 || t.multicast > 1 ? 1.0 : 0.0};
  for (const GemmTile& lone : output_tiles())
    if (large(lone)) f.push_back(w == 1 && lone.bm == t.bm && lone.bn == t.bn && t.split == 1 ? k : 0);
  const int columns = t.bn == 160 ? 192 : t.bn;
  for (const auto& [bm, bn] : kOwnTiles) f.push_back(bm == t.bm && bn == columns ? w * k * t.bn / bn : 0);
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

Values work_features(const Machine& m, const Problem& p) {
  const double share = d(p.sms) / d(m.sms), hbm = m.hbm.per_second() * 1e-6;
  return {1, flops(p.shape) / (share * peak_of(m.chip(), dtype_of(p.shape)).per_second() * 1e-6),
          hbm_bytes(p.shape) / (std::min(1.0, 4 * share) * hbm), output_rows(p.shape) / d(p.sms) / 1024};
}

Values message_features(const Machine& m, const Shape& s) {
  const Messages z = messages(s);
  const double wire = z.sent * z.bytes / (m.nvlink.per_second() * 1e-6);
  const std::array own{1.0,
                       z.ranks - 1,
                       std::sqrt(wire),
                       z.ranks <= 2 ? wire : 0,
                       z.ranks > 2 && z.ranks <= 4 ? wire : 0,
                       z.ranks > 4 ? wire : 0};
  Values f(own.size() * kCollectives);
  std::ranges::copy(own, f.begin() + static_cast<std::ptrdiff_t>(own.size() * z.kind));
  return f;
}

Values message_coordinates(const Messages& z, const Variant& variant) {
  Values at{log2_of(z.bytes), log2_of(z.ranks), variant[0], variant[1]};
  for (std::size_t kind = 0; kind < kCollectives; ++kind) at.push_back(kind == z.kind ? 1 : 0);
  return at;
}

/// Least is best.
double by_waves(const Problem& p, const Sizes& z, const GemmTile& t, TileChoice choice) {
  const Cut c = cut(p, z, t);
  const double w = c.waves();
  if (choice == TileChoice::fewest_waves) return w * 1e6 + t.bm * t.bn + 1e-3 * (t.bm + t.bn);
  if ((t.bm == 64) != (z.m <= 64) || (t.bm == 256 && z.m <= 192)) return INFINITY;
  return w * 1e6 - (c.clusters - (w - 1) * c.at_once) - 1e-4 * t.bm + 1e-7 * t.bn;
}

Values tile_coordinates(const Machine& m, const Problem& p, const GemmTile& t, const Variant& variant) {
  const Sizes z = sizes(p.shape);
  const Cut c = cut(p, z, t);
  const Dtype type = dtype_of(p.shape);
  const bool by_group = z.groups > 1 || std::holds_alternative<GroupedGemm>(p.shape);
  return {log2_of(z.m),
          log2_of(z.n),
          log2_of(z.k),
          log2_of(z.groups),
          static_cast<std::int64_t>(z.m) % 4 != 0 ? 1.0 : 0.0,
          std::min(c.waves(), 4.0),
          log2_of(c.waves()),
          c.filled(),
          log2_of(hbm_bytes(as_run(p))),
          std::log2(d(p.sms) / d(m.sms)),
          z.m < 6 ? 1.0 : 0.0,
          log2_of(t.bm),
          log2_of(t.bn),
          log2_of(t.multicast),
          log2_of(t.split),
          by_group ? 1.0 : 0.0,
          std::holds_alternative<GroupedGemmMasked>(p.shape) ? 1.0 : 0.0,
          type == Dtype::bf16 ? 1.0 : 0.0,
          type == Dtype::fp8_tensor ? 1.0 : 0.0,
          variant[0]};
}

}  // namespace

const char* name(Form f) {
  static constexpr std::array names{"tiles", "work", "messages"};
  return names.at(static_cast<std::size_t>(f));
}

double message_bytes(const Shape& s) { return messages(s).bytes; }

bool fittable(const Shape& s) { return form_of(s) != Form::messages || messages(s).bytes > 0; }

std::string fit_family(const Shape& s) {
  if (form_of(s) == Form::messages) return "collective";
  if (form_of(s) != Form::tiles) return family(s);
  return std::holds_alternative<Wgrad>(s) || std::holds_alternative<WgradGrouped>(s) ? "wgrad" : "gemm";
}

const char* name(TileChoice c) {
  static constexpr std::array names{"fewest waves", "fullest wave", "least time", "own rule"};
  return names.at(static_cast<std::size_t>(c));
}

Form form_of(const Shape& s) {
  if (is_collective(s)) return Form::messages;
  return sizes(s).m > 0 ? Form::tiles : Form::work;
}

const std::vector<GemmTile>& output_tiles() {
  static const std::vector<GemmTile> all = [] {
    std::vector<GemmTile> t;
    for (int bn : {16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256}) t.push_back({64, bn, 1, 1});
    for (int bn : {16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 192}) t.push_back({128, bn, 1, 1});
    for (int bn : {32, 64, 80, 96, 112, 128}) t.push_back({256, bn, 1, 1});
    for (int split : {2, 4, 8})
      for (int bm : {64, 128})
        for (int bn : {64, 128}) t.push_back({bm, bn, 1, split});
    return t;
  }();
  return all;
}

Values features(const Machine& m, const Problem& p, const GemmTile& tile) {
  switch (form_of(p.shape)) {
    case Form::tiles:
      return tile_features(m, p, tile);
    case Form::work:
      return work_features(m, p);
    case Form::messages:
      return message_features(m, p.shape);
  }
  return {};
}

GemmTile chosen_tile(const Machine& m, const Problem& p, TileChoice choice, const Values& prices) {
  if (form_of(p.shape) != Form::tiles) return {};
  if (choice == TileChoice::own_rule) return p.tile.bm > 0 ? p.tile : choose_tile(p.shape, static_cast<int>(p.sms));
  const Sizes z = sizes(p.shape);
  GemmTile best;
  double least = INFINITY;
  for (const GemmTile& t : output_tiles()) {
    if (choice != TileChoice::least_time && t.split > 1) continue;
    const double score =
        choice == TileChoice::least_time ? priced(prices, tile_features(m, p, t)) : by_waves(p, z, t, choice);
    if (score < least) least = score, best = t;
  }
  return best;
}

Values coordinates(const Machine& m, const Problem& p, const GemmTile& tile, const Variant& variant) {
  const Shape& s = p.shape;
  switch (form_of(s)) {
    case Form::tiles:
      return tile_coordinates(m, p, tile, variant);
    case Form::work:
      return {log2_of(flops(s) > 0 ? flops(s) : hbm_bytes(s)), log2_of(output_rows(s)),
              flops(s) > 0 ? std::log2(flops(s) / hbm_bytes(s)) : 0.0, std::log2(d(p.sms) / d(m.sms)), variant[0]};
    case Form::messages:
      return message_coordinates(messages(s), variant);
  }
  return {};
}

const Values& usual_scales(Form f) {
  static const std::array<Values, 3> scales{Values{3, 3, 2, 2, 1, 4, 4, 1, 4, 0.5, 1, 1.5, 1.5, 1, 1.5, 1, 1, 1, 1, 1},
                                            Values{3, 3, 3, 0.5, 1}, Values{3, 1, 4, 2, 1.5, 1.5, 1.5, 1.5}};
  return scales[static_cast<std::size_t>(f)];
}

double priced(const Values& prices, const Values& features) {
  double sum = 0;
  for (std::size_t i = 0; i < std::min(prices.size(), features.size()); ++i) sum += prices[i] * features[i];
  return sum;
}

}  // namespace railcast
