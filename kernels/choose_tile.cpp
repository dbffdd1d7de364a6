// A kernel's descriptor to the rule that cuts it (model/gemm_tile.hpp).
#include <array>
#include <cstdint>

#include "kernels/gemm.hpp"
#include "model/gemm_tile.hpp"

namespace railcast::kernels {
namespace {

constexpr int kSms = 132;  ///< of an H100, where none are named

GemmTile as_model(const Tile& t) { return {t.bm, t.bn, t.multicast, t.split}; }

/// A question to the rule and its answer.
struct Choice {
  TiledKernel kernel = TiledKernel::dense;
  TiledProblem problem;
  int sms = 0;
  GemmTile tile;

  bool answers(TiledKernel k, const TiledProblem& p, int on) const {
    return sms == on && kernel == k && problem.rows_per_group == p.rows_per_group && problem.groups == p.groups &&
           problem.n == p.n && problem.k == p.k;
  }
};

/// The rule's answer, kept: a step asks the same few dozen questions again and again, and an answer takes a
/// microsecond.
GemmTile remembered(TiledKernel kernel, const TiledProblem& p, int sms) {
  thread_local std::array<Choice, 256> choices;
  std::uint64_t hash = static_cast<std::uint64_t>(kernel);
  for (const std::uint64_t x :
       {static_cast<std::uint64_t>(p.rows_per_group), static_cast<std::uint64_t>(p.groups),
        static_cast<std::uint64_t>(p.n), static_cast<std::uint64_t>(p.k), static_cast<std::uint64_t>(sms)})
    hash = (hash ^ x) * 0x9e3779b97f4a7c15;
  Choice& choice = choices[hash >> 56];
  if (!choice.answers(kernel, p, sms)) choice = {kernel, p, sms, choose_tile(kernel, p, sms)};
  return choice.tile;
}

Tile chosen(TiledKernel kernel, const Tile& asked, const TiledProblem& problem, int sms) {
  if (asked.bm > 0) return asked;
  const GemmTile t = remembered(kernel, problem, sms > 0 ? sms : kSms);
  return {t.bm, t.bn, t.multicast, t.split};
}

}  // namespace

std::string describe(const Tile& t) { return railcast::describe(as_model(t)); }

std::vector<Tile> compiled_tiles() {
  std::vector<Tile> tiles;
  for (const GemmTile& t : railcast::compiled_tiles(TiledKernel::dense))
    tiles.push_back({t.bm, t.bn, t.multicast, t.split});
  return tiles;
}

Tile choose_tile(const GemmArgs& args, int sms) {
  return chosen(TiledKernel::dense, args.tile, {static_cast<double>(args.m), 1, args.n, args.k}, sms);
}

int strip_of(const Tile& tile) { return railcast::strip_of(as_model(tile)); }
int strip_of(const GemmArgs& args, const Tile& tile, int sms) {
  return railcast::strip_of(static_cast<double>(args.m), args.n, as_model(tile), sms > 0 ? sms : kSms);
}

Tile choose_tile(const GroupedGemmArgs& args, int sms) {
  const double rows = static_cast<double>(args.m) / static_cast<double>(args.groups);
  return chosen(TiledKernel::grouped, args.tile, {rows, args.groups, args.n, args.k}, sms);
}

Tile choose_tile(const MaskedGemmArgs& args, int sms) {
  const double rows = static_cast<double>(args.expected_m > 0 ? args.expected_m : args.m);
  return chosen(TiledKernel::masked, args.tile, {rows, args.groups, args.n, args.k}, sms);
}

Tile choose_tile(const WgradArgs& args, int sms) {
  const std::int64_t groups = args.groups > 0 ? args.groups : 1;
  return chosen(TiledKernel::wgrad, args.tile, {static_cast<double>(args.m), groups, args.n, args.k / groups}, sms);
}

Tile tile_in(const std::vector<std::int64_t>& line, std::size_t at) {
  if (line.size() < at + 4) return {};
  return {static_cast<int>(line[at]), static_cast<int>(line[at + 1]), static_cast<int>(line[at + 2]),
          static_cast<int>(line[at + 3])};
}

}  // namespace railcast::kernels
