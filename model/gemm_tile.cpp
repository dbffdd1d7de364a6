// The tile choice: a small cost model over the compiled tiles. Pure, so that it can be printed and tested without a
// GPU.
#include "model/gemm_tile.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>

namespace railcast {

/// Clusters of `size` CTAs that fit at once: a cluster lives in one GPC. Of all 132 SMs an H100 said so itself
/// (cudaOccupancyMaxActiveClusters); of fewer, as many as their share.
double resident_clusters(int size, int sms) {
  constexpr std::array<int, 9> kOfAll{0, 132, 66, 39, 30, 22, 17, 15, 15};
  if (size < 3) return sms / size;
  return size > 8 ? 1 : std::max(1, kOfAll[static_cast<std::size_t>(size)] * std::min(sms, 132) / 132);
}

namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Clusters that lie side by side along n.
double columns_of(std::int64_t n, const GemmTile& t) {
  return static_cast<double>(ceil_div(ceil_div(n, t.bn), t.multicast));
}

/// D of several waves, seven to fourteen rows of whose tiles run at once (timed: 17 columns of tiles on 132 SMs).
bool is_narrow(double rows, std::int64_t n, const GemmTile& t, int sms) {
  const double columns = columns_of(n, t), at_once = resident_clusters(std::max(t.multicast, t.split), sms);
  return t.bm == 192 && 7 * columns <= at_once && 14 * columns > at_once && std::ceil(rows / t.bm) * columns > at_once;
}

/// Microseconds of one 128-deep step of a CTA, and of a tile beside its steps.
struct TileCost {
  int bm, bn;
  double step, tile;
};
constexpr TileCost kManyRows[] = {{256, 128, 0.765, 1.84}, {192, 128, 0.583, 1.14}, {128, 192, 0.613, 1.23},
                                  {128, 128, 0.422, 0.92}, {128, 64, 0.183, 0.69},  {64, 128, 0.318, 1.08},
                                  {64, 64, 0.153, 0.60},   {64, 32, 0.131, 0.45}};
// Contiguous experts: as fitted to dense problems of many rows before those were fitted anew; not timed tile by tile.
constexpr TileCost kByExpert[] = {
    {256, 128, 0.75, 1.6}, {128, 192, 0.60, 1.4}, {128, 128, 0.39, 1.0}, {128, 64, 0.183, 0.69}};
constexpr TileCost kFewRows[] = {{256, 128, 0.466, 3.12}, {192, 128, 0.449, 1.14}, {128, 192, 0.476, 2.10},
                                 {128, 128, 0.285, 1.34}, {128, 64, 0.165, 1.40},  {64, 128, 0.230, 1.20},
                                 {64, 64, 0.142, 0.51},   {64, 32, 0.118, 0.18}};
constexpr TileCost kUnequalRows[] = {{256, 128, 0.582, 1.99}, {192, 128, 0.418, 1.20}, {128, 192, 0.472, 0.54},
                                     {128, 160, 0.373, 1.28}, {128, 128, 0.251, 0.65}, {128, 64, 0.176, 0.53},
                                     {64, 128, 0.282, 0.27},  {64, 64, 0.111, 0.87}};
constexpr TileCost kTokens[] = {{256, 128, 0.88, 8.2}, {128, 128, 0.475, 3.4}};  // from wgrad at k = 2048 to 8192

/// What a regime of problems costs, beside what a launch costs with any tile. These numbers serve to choose a tile and
/// for nothing else: each regime's were fitted to how compiled tiles did there (`railcast-measure --suite gemm_tiles`,
/// `grouped_gemm_masked --shapes`; kernels/NOTES.md), few and unequal rows' then moved to where the choice among the
/// timed tiles was best, so they are no measurements. Chosen over best, geometric mean and largest: 1.003 and 1.06
/// over 81 shapes of more than 256 rows; 1.007 and 1.05 over 18 of at most 256; 1.022 and 1.12 over 30 masked ones.
struct Costs {
  std::span<const TileCost> tiles;
  double split, split_tile;   ///< adding up what shares K, and for each 128x128 sums of it
  double multicast, cluster;  ///< factor of a step with multicast; a launch with clusters
  double bytes, l2_bytes;     ///< a microsecond: through device memory, out of L2 to the SMs
  double flops;               ///< a microsecond at the power cap
  bool taking_turns;          ///< loads and products wait for each other: the root of the sum of their squares
  double narrow = 1, narrow_multicast = 1;  ///< factor of a step where the strips are those of a narrow D
  double relief = 0;  ///< how much faster a step of a large tile is, the more SMs are left out (clusters_of)
};
constexpr double kL2BytesOfSm = 87e3;  ///< a microsecond: the most that one SM draws out of L2
constexpr Costs kMany{kManyRows, 1.77, 0, 0.944, 1.74, 2.75e6, 1.0e7, 1.3e9, false, 0.94, 0.98, 0.313};
constexpr Costs kContiguous{kByExpert, 3.2, 0, 0.98, 0.31, 2.75e6, 8.8e6, 1.3e9, false};
constexpr Costs kWgradCosts{kTokens, 3.2, 0, 0.98, 0.31, 2.75e6, 8.8e6, 1.3e9, false};
constexpr Costs kFew{kFewRows, 1.2, 2.2, 1.07, 0.15, 3.07e6, 11.4e6, 1.13e9, true};
constexpr Costs kUnequal{kUnequalRows, 0, 0, 1.23, 0.09, 3.14e6, 7.78e6, 1.60e9, true};

/// Row tiles of all groups and the rows of A that they load.
struct RowTiles {
  double count, loaded;
};
RowTiles row_tiles(const TiledProblem& p, const GemmTile& t, double rows, bool by_box) {
  const double box = t.bm >= 128 ? t.bm / 2 : t.bm, count = std::ceil(rows / t.bm);
  const double loaded = by_box ? std::ceil(rows / box) * box : count * t.bm;
  return {static_cast<double>(p.groups) * count, static_cast<double>(p.groups) * loaded};
}

/// Microseconds of whole waves of clusters beside the bytes through device memory or out of L2 and the products at the
/// power cap.
double cost(const TiledProblem& p, const GemmTile& t, int sms, const Costs& costs, RowTiles tiles, double rows) {
  const auto of = std::find_if(costs.tiles.begin(), costs.tiles.end(),
                               [&](const TileCost& c) { return c.bm == t.bm && c.bn == t.bn; });
  const int cluster = std::max(t.multicast, t.split);
  const double clusters = tiles.count * columns_of(p.n, t);
  const std::int64_t k_blocks = ceil_div(p.k, 128);
  if (of == costs.tiles.end() || cluster > sms || (t.split > 1 && (clusters * t.split > sms || t.split > k_blocks)))
    return std::numeric_limits<double>::infinity();
  const double steps = std::ceil(static_cast<double>(k_blocks) / t.split);
  const double adding_up = t.split > 1 ? costs.split + costs.split_tile * t.bm * t.bn / (128 * 128) : 0;
  const double at_once = std::max(1.0, resident_clusters(cluster, sms)), waves = std::ceil(clusters / at_once);
  const double left_out = t.bm * t.bn >= 128 * 128 && t.split == 1 ? 1 - clusters / (waves * at_once) : 0;
  const double narrow = is_narrow(rows, p.n, t, sms) ? (t.multicast > 1 ? costs.narrow_multicast : costs.narrow) : 1;
  const double step = of->step * (t.multicast > 1 ? costs.multicast : 1) * narrow * (1 - costs.relief * left_out);
  const double busy = waves * (steps * step + of->tile + adding_up) + (cluster > 1 ? costs.cluster : 0);
  const double n = static_cast<double>(p.n), k = static_cast<double>(p.k);
  const double bytes = static_cast<double>(p.groups) * n * k + rows * (k + 2 * n);
  const double l2_bytes =
      std::ceil(n / t.bn) * std::ceil(k / 128) * 128 * (tiles.loaded / t.multicast + tiles.count * t.bn);
  const double moved = std::max(
      {bytes / costs.bytes, l2_bytes / std::min(costs.l2_bytes, sms * kL2BytesOfSm), 2 * rows * n * k / costs.flops});
  return costs.taking_turns ? std::sqrt(busy * busy + moved * moved) : std::max(busy, moved) + 0.1 * busy;
}

/// All groups have the rows that are expected.
double cost(const TiledProblem& p, const GemmTile& t, int sms, const Costs& costs) {
  const double rows = static_cast<double>(p.groups) * p.rows_per_group;
  return cost(p, t, sms, costs, row_tiles(p, t, p.rows_per_group, false), rows);
}

/// Valid rows vary about what is expected, here evenly by up to 30 % (as the published figures draw them). Many groups
/// have the mean number of row tiles; of few, all may lie to one side, and the mean is one over times.
double masked_cost(const TiledProblem& p, const GemmTile& t, int sms) {
  constexpr std::array<double, 4> kOfExpected{0.775, 0.925, 1.075, 1.225};
  const double all = static_cast<double>(p.groups) * p.rows_per_group;
  RowTiles mean{0, 0};
  double us = 0;
  for (const double share : kOfExpected) {
    const RowTiles tiles = row_tiles(p, t, share * p.rows_per_group, true);
    mean.count += tiles.count / 4, mean.loaded += tiles.loaded / 4;
    if (p.groups < 4) us += cost(p, t, sms, kUnequal, tiles, share * all) / 4;
  }
  return p.groups < 4 ? us : cost(p, t, sms, kUnequal, mean, all);
}

// The compiled tiles (kernels/gemm.cu, wgrad.cu), with the ways to use their clusters.
constexpr std::array<GemmTile, 23> kDense = {
    {{256, 128, 2, 1}, {256, 128, 1, 1}, {192, 128, 2, 1}, {192, 128, 1, 1}, {128, 192, 2, 1}, {128, 192, 1, 1},
     {128, 128, 2, 1}, {128, 128, 1, 1}, {128, 64, 1, 1},  {64, 128, 1, 1},  {64, 64, 1, 1},   {64, 32, 1, 1},
     {64, 32, 1, 2},   {64, 32, 1, 4},   {64, 64, 1, 2},   {64, 64, 1, 4},   {64, 128, 1, 2},  {128, 64, 1, 2},
     {128, 64, 1, 5},  {128, 128, 1, 2}, {128, 128, 1, 4}, {256, 128, 1, 2}, {256, 128, 1, 4}}};
constexpr std::array<GemmTile, 7> kGrouped = {{{256, 128, 2, 1},
                                               {256, 128, 1, 1},
                                               {128, 192, 2, 1},
                                               {128, 192, 1, 1},
                                               {128, 128, 2, 1},
                                               {128, 128, 1, 1},
                                               {128, 64, 1, 1}}};
constexpr std::array<GemmTile, 12> kMasked = {{{256, 128, 2, 1},
                                               {256, 128, 1, 1},
                                               {192, 128, 2, 1},
                                               {192, 128, 1, 1},
                                               {128, 192, 2, 1},
                                               {128, 192, 1, 1},
                                               {128, 160, 2, 1},
                                               {128, 128, 2, 1},
                                               {128, 128, 1, 1},
                                               {128, 64, 1, 1},
                                               {64, 128, 1, 1},
                                               {64, 64, 1, 1}}};
constexpr std::array<GemmTile, 4> kWgrad = {{{256, 128, 2, 1}, {256, 128, 1, 1}, {128, 128, 2, 1}, {128, 128, 1, 1}}};

std::span<const GemmTile> compiled(TiledKernel kernel) {
  switch (kernel) {
    case TiledKernel::dense:
      return kDense;
    case TiledKernel::grouped:
      return kGrouped;
    case TiledKernel::masked:
      return kMasked;
    case TiledKernel::wgrad:
      return kWgrad;
  }
  return {};
}

double cost(TiledKernel kernel, const TiledProblem& p, const GemmTile& t, int sms) {
  if (kernel == TiledKernel::masked) return masked_cost(p, t, sms);
  if (kernel == TiledKernel::wgrad) return cost(p, t, sms, kWgradCosts);
  if (kernel == TiledKernel::grouped) return cost(p, t, sms, kContiguous);
  return cost(p, t, sms, p.rows_per_group <= 256 ? kFew : kMany);
}

}  // namespace

int strip_of(const GemmTile& tile) { return tile.bm == 256 ? 8 : 16; }
int strip_of(double rows, std::int64_t n, const GemmTile& tile, int sms) {
  return is_narrow(rows, n, tile, sms) ? 4 : strip_of(tile);
}

std::string describe(const GemmTile& tile) {
  std::string text = std::to_string(tile.bm) + "x" + std::to_string(tile.bn);
  if (tile.multicast > 1) text += " multicast " + std::to_string(tile.multicast);
  if (tile.split > 1) text += " split " + std::to_string(tile.split);
  return text;
}

GemmTile tile_named(const std::string& text) {
  GemmTile t;
  if (std::sscanf(text.c_str(), "%dx%d", &t.bm, &t.bn) != 2) return {};
  if (const auto at = text.find("multicast "); at != text.npos) t.multicast = std::atoi(text.c_str() + at + 10);
  if (const auto at = text.find("split "); at != text.npos) t.split = std::atoi(text.c_str() + at + 6);
  return describe(t) == text ? t : GemmTile{};
}

std::vector<GemmTile> compiled_tiles(TiledKernel kernel) {
  const auto tiles = compiled(kernel);
  return {tiles.begin(), tiles.end()};
}

GemmTile choose_tile(TiledKernel kernel, const TiledProblem& p, int sms) {
  GemmTile choice = compiled(kernel).front();
  double lowest = std::numeric_limits<double>::infinity();
  for (const GemmTile& t : compiled(kernel)) {
    const double c = cost(kernel, p, t, sms);
    if (c < lowest) lowest = c, choice = t;
  }
  return choice;
}

GemmTile choose_tile(const Shape& shape, int sms) {
  return std::visit(
      [sms](const auto& x) -> GemmTile {
        using S = std::decay_t<decltype(x)>;
        constexpr bool wgrad = std::is_same_v<S, Wgrad> || std::is_same_v<S, WgradGrouped>;
        if constexpr (requires { x.groups, x.m, x.n, x.k; }) {
          // Contiguous experts are padded to 128 rows.
          const std::int64_t m = std::is_same_v<S, GroupedGemm> ? ceil_div(x.m, 128) * 128 : x.m;
          constexpr bool masked = std::is_same_v<S, GroupedGemmMasked>;
          constexpr TiledKernel kernel = wgrad    ? TiledKernel::wgrad
                                         : masked ? TiledKernel::masked
                                                  : TiledKernel::grouped;
          return choose_tile(kernel, {static_cast<double>(m), x.groups, x.n, x.k}, sms);
        } else if constexpr (requires { x.m, x.n, x.k; }) {
          return choose_tile(wgrad ? TiledKernel::wgrad : TiledKernel::dense, {static_cast<double>(x.m), 1, x.n, x.k},
                             sms);
        }
        return {};
      },
      shape);
}

}  // namespace railcast
