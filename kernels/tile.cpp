// The tile choice: a small cost model over the compiled tiles. Pure, so that it can be printed and tested without a
// GPU.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/gemm.hpp"

namespace railcast::kernels {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// What the model sees of a problem.
struct Problem {
  double row_tiles_of_64;  // 64-row blocks in all groups
  double rows_per_group;   // typical rows of one group
  std::int64_t groups, n, k;
};

/// Clusters of `size` CTAs that fit at once: a cluster lives in one GPC, and an H100's GPCs have 16 or 18 SMs.
double resident(int size, int sms) {
  if (size == 1) return sms;
  if (size == 2) return sms / 2;
  return std::floor(16.0 / size) * std::max(1, sms / 16);
}

/// Cycles of one 128-deep step of one CTA. 8192 FLOP per cycle is the tensor pipe's limit; the promotion costs the rest
/// (validate/measured/h100/ceilings.csv).
double step_cycles(const Tile& t) {
  const double efficiency = t.bm == 256 ? 0.86 : t.bm == 128 ? 0.80 : 0.55;
  return t.bm * t.bn / 32.0 / efficiency;
}

double cycles(const Problem& p, const Tile& t) {
  const double row_tiles = static_cast<double>(p.groups) * std::ceil(p.rows_per_group / t.bm);
  const double column_tiles = static_cast<double>(ceil_div(ceil_div(p.n, t.bn), t.multicast) * t.multicast);
  const double steps = std::ceil(static_cast<double>(ceil_div(p.k, 128)) / t.split);
  const double epilogue = 600 + t.bm * t.bn / 32.0 + (t.split > 1 ? 2500 : 0);
  return row_tiles * column_tiles * t.split * (steps * step_cycles(t) + epilogue);
}

/// Cycles for `sms` SMs: whole waves of clusters, or the bytes at 1750 B/cycle from HBM (3.0 TB/s at 1.7 GHz).
double cost(const Problem& p, const Tile& t, int sms) {
  const int cluster = std::max(t.multicast, t.split);
  const double row_tiles = static_cast<double>(p.groups) * std::ceil(p.rows_per_group / t.bm);
  const double tiles = row_tiles * static_cast<double>(ceil_div(p.n, t.bn));
  const double clusters = row_tiles * static_cast<double>(ceil_div(ceil_div(p.n, t.bn), t.multicast));
  if (cluster > sms || (t.split > 1 && clusters * t.split > sms)) return std::numeric_limits<double>::infinity();
  const double each = cycles(p, t) / std::max(1.0, clusters * cluster);
  const double waves = std::ceil(clusters / std::max(1.0, resident(cluster, sms)));
  const double steps = static_cast<double>(ceil_div(p.k, 128));
  const double l2_bytes = tiles * steps * 128.0 * (static_cast<double>(t.bm) / t.multicast + t.bn);
  const double dram_bytes = static_cast<double>(p.groups) * static_cast<double>(p.n * p.k) +
                            row_tiles * t.bm * static_cast<double>(p.k + 2 * p.n);
  return std::max({waves * each, l2_bytes / 4000.0, dram_bytes / 1750.0}) + 0.05 * waves * each;
}

template <std::size_t N>
Tile best(const Problem& p, const std::array<Tile, N>& candidates, int sms) {
  Tile choice = candidates[0];
  double lowest = std::numeric_limits<double>::infinity();
  for (const Tile& t : candidates) {
    const double c = cost(p, t, sms);
    if (c < lowest) lowest = c, choice = t;
  }
  return choice;
}

// The compiled tiles (kernels/gemm.cu, wgrad.cu), with the ways to use their clusters.
constexpr std::array<Tile, 27> kDense = {
    {{256, 128, 2, 1}, {256, 128, 1, 1}, {192, 128, 2, 1}, {192, 128, 1, 1}, {128, 192, 2, 1}, {128, 192, 1, 1},
     {128, 128, 2, 1}, {128, 128, 1, 1}, {128, 64, 1, 1},  {64, 128, 1, 1},  {64, 64, 1, 1},   {64, 32, 1, 1},
     {64, 128, 1, 2},  {64, 128, 1, 4},  {64, 128, 1, 6},  {64, 128, 1, 8},  {64, 64, 1, 2},   {64, 64, 1, 4},
     {64, 64, 1, 8},   {128, 64, 1, 2},  {128, 64, 1, 4},  {128, 128, 1, 2}, {128, 128, 1, 4}, {128, 128, 1, 6},
     {256, 128, 1, 2}, {256, 128, 1, 4}, {128, 192, 1, 2}}};
constexpr std::array<Tile, 7> kGrouped = {{{256, 128, 2, 1},
                                           {256, 128, 1, 1},
                                           {128, 192, 2, 1},
                                           {128, 192, 1, 1},
                                           {128, 128, 2, 1},
                                           {128, 128, 1, 1},
                                           {128, 64, 1, 1}}};
constexpr std::array<Tile, 6> kWgrad = {
    {{256, 128, 2, 1}, {256, 128, 1, 1}, {192, 128, 2, 1}, {192, 128, 1, 1}, {128, 128, 2, 1}, {128, 128, 1, 1}}};

int sms_or_all(int sms) { return sms > 0 ? sms : 132; }

}  // namespace

std::string describe(const Tile& tile) {
  std::string text = std::to_string(tile.bm) + "x" + std::to_string(tile.bn);
  if (tile.multicast > 1) text += " multicast " + std::to_string(tile.multicast);
  if (tile.split > 1) text += " split " + std::to_string(tile.split);
  return text;
}

std::vector<Tile> compiled_tiles() { return {kDense.begin(), kDense.end()}; }

Tile choose_tile(const GemmArgs& args, int sms) {
  if (args.tile.bm > 0) return args.tile;
  return best({0, static_cast<double>(args.m), 1, args.n, args.k}, kDense, sms_or_all(sms));
}

Tile choose_tile(const GroupedGemmArgs& args, int sms) {
  if (args.tile.bm > 0) return args.tile;
  const double rows = static_cast<double>(args.m) / static_cast<double>(args.groups);
  return best({0, rows, args.groups, args.n, args.k}, kGrouped, sms_or_all(sms));
}

Tile choose_tile(const MaskedGemmArgs& args, int sms) {
  if (args.tile.bm > 0) return args.tile;
  const double rows = static_cast<double>(args.expected_m > 0 ? args.expected_m : args.m);
  return best({0, rows, args.groups, args.n, args.k}, kGrouped, sms_or_all(sms));
}

Tile choose_tile(const WgradArgs& args, int sms) {
  if (args.tile.bm > 0) return args.tile;
  const std::int64_t groups = args.groups > 0 ? args.groups : 1;
  return best({0, static_cast<double>(args.m), groups, args.n, args.k / groups}, kWgrad, sms_or_all(sms));
}

Tile tile_in(const std::vector<std::int64_t>& line, std::size_t at) {
  if (line.size() < at + 4) return {};
  return {static_cast<int>(line[at]), static_cast<int>(line[at + 1]), static_cast<int>(line[at + 2]),
          static_cast<int>(line[at + 3])};
}

}  // namespace railcast::kernels
