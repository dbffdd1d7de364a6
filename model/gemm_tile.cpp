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

/// Clusters of `size` CTAs that fit at once: a cluster lives in one GPC, and an H100's GPCs have 16 or 18 SMs.
double resident_clusters(int size, int sms) {
  if (size == 1) return sms;
  if (size == 2) return sms / 2;
  return std::floor(16.0 / size) * std::max(1, sms / 16);
}

namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Microseconds of one 128-deep step of a CTA, and of a tile beside its steps. Fitted to how every compiled tile did on
/// 36 shapes of DeepSeek-V3's layers, sustained (`railcast-measure --suite gemm_tiles`; kernels/NOTES.md): the tile so
/// chosen takes 1.4 % longer than the best one in the geometric mean, 13 % at most.
struct TileCost {
  int bm, bn;
  double step, tile;
};
constexpr TileCost kWeights[] = {{256, 128, 0.75, 1.6}, {192, 128, 0.565, 1.27}, {128, 192, 0.60, 1.4},
                                 {128, 128, 0.39, 1.0}, {128, 64, 0.183, 0.69},  {64, 128, 0.318, 1.08},
                                 {64, 64, 0.153, 0.60}, {64, 32, 0.131, 0.45}};
constexpr TileCost kTokens[] = {{256, 128, 0.92, 11.9}, {128, 128, 0.52, 3.65}};  // from wgrad at k = 4096 and 8192
constexpr double kSplit = 3.2, kMulticast = 0.98, kCluster = 0.31;  // adding up; a step, a launch with clusters
constexpr double kBytesPerUs = 2.75e6, kL2BytesPerUs = 8.8e6;       // device memory; what L2 hands to the SMs
constexpr double kFlopsPerUs = 1.3e9;                               // what the power cap allows

/// Microseconds for `sms` SMs beside what a launch costs with any tile: whole waves of clusters, the bytes through
/// device memory or out of L2, or the products at the power cap.
double cost(const TiledProblem& p, const GemmTile& t, int sms, std::span<const TileCost> costs) {
  const auto of =
      std::find_if(costs.begin(), costs.end(), [&](const TileCost& c) { return c.bm == t.bm && c.bn == t.bn; });
  const int cluster = std::max(t.multicast, t.split);
  const double row_tiles = static_cast<double>(p.groups) * std::ceil(p.rows_per_group / t.bm);
  const double clusters = row_tiles * static_cast<double>(ceil_div(ceil_div(p.n, t.bn), t.multicast));
  if (of == costs.end() || cluster > sms || (t.split > 1 && clusters * t.split > sms))
    return std::numeric_limits<double>::infinity();
  const double steps = std::ceil(static_cast<double>(ceil_div(p.k, 128)) / t.split);
  const double each = steps * of->step * (t.multicast > 1 ? kMulticast : 1) + of->tile + (t.split > 1 ? kSplit : 0);
  const double busy =
      std::ceil(clusters / std::max(1.0, resident_clusters(cluster, sms))) * each + (cluster > 1 ? kCluster : 0);
  const double rows = static_cast<double>(p.groups) * p.rows_per_group, n = static_cast<double>(p.n);
  const double k = static_cast<double>(p.k), bytes = static_cast<double>(p.groups) * n * k + rows * (k + 2 * n);
  const double l2_bytes =
      row_tiles * std::ceil(n / t.bn) * std::ceil(k / 128) * 128 * (1.0 * t.bm / t.multicast + t.bn);
  return std::max({busy, bytes / kBytesPerUs, l2_bytes / kL2BytesPerUs, 2 * rows * n * k / kFlopsPerUs}) + 0.1 * busy;
}

// The compiled tiles (kernels/gemm.cu, wgrad.cu), with the ways to use their clusters.
constexpr std::array<GemmTile, 28> kDense = {
    {{256, 128, 2, 1}, {256, 128, 1, 1}, {192, 128, 2, 1}, {192, 128, 1, 1}, {128, 192, 2, 1}, {128, 192, 1, 1},
     {128, 128, 2, 1}, {128, 128, 1, 1}, {128, 64, 1, 1},  {64, 128, 1, 1},  {64, 64, 1, 1},   {64, 32, 1, 1},
     {64, 32, 1, 2},   {64, 128, 1, 2},  {64, 128, 1, 4},  {64, 128, 1, 6},  {64, 128, 1, 8},  {64, 64, 1, 2},
     {64, 64, 1, 4},   {64, 64, 1, 8},   {128, 64, 1, 2},  {128, 64, 1, 4},  {128, 128, 1, 2}, {128, 128, 1, 4},
     {128, 128, 1, 6}, {256, 128, 1, 2}, {256, 128, 1, 4}, {128, 192, 1, 2}}};
constexpr std::array<GemmTile, 7> kGrouped = {{{256, 128, 2, 1},
                                               {256, 128, 1, 1},
                                               {128, 192, 2, 1},
                                               {128, 192, 1, 1},
                                               {128, 128, 2, 1},
                                               {128, 128, 1, 1},
                                               {128, 64, 1, 1}}};
constexpr std::array<GemmTile, 4> kWgrad = {{{256, 128, 2, 1}, {256, 128, 1, 1}, {128, 128, 2, 1}, {128, 128, 1, 1}}};

std::span<const GemmTile> compiled(TiledKernel kernel) {
  if (kernel == TiledKernel::dense) return kDense;
  return kernel == TiledKernel::grouped ? std::span<const GemmTile>(kGrouped) : kWgrad;
}

}  // namespace

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
  const std::span<const TileCost> costs = kernel == TiledKernel::wgrad ? std::span<const TileCost>(kTokens) : kWeights;
  GemmTile choice = compiled(kernel).front();
  double lowest = std::numeric_limits<double>::infinity();
  for (const GemmTile& t : compiled(kernel)) {
    const double c = cost(p, t, sms, costs);
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
          return choose_tile(wgrad ? TiledKernel::wgrad : TiledKernel::grouped,
                             {static_cast<double>(m), x.groups, x.n, x.k}, sms);
        } else if constexpr (requires { x.m, x.n, x.k; }) {
          return choose_tile(wgrad ? TiledKernel::wgrad : TiledKernel::dense, {static_cast<double>(x.m), 1, x.n, x.k},
                             sms);
        }
        return {};
      },
      shape);
}

}  // namespace railcast
