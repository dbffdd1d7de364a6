// gemm and grouped_gemm on the host: check, choose a tile, describe the tensors, launch.
#include <algorithm>

#include "kernels/error.hpp"
#include "kernels/launch.hpp"
#include "kernels/schedule.cuh"

namespace railcast::kernels {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// What the three kernels have in common. `rows`: rows of A and D in all groups.
template <typename Args>
GemmParams describe_tensors(const Args& args, const Tile& tile, int strip, std::int64_t rows, std::int64_t groups) {
  GemmParams p{};
  const std::int64_t k_blocks = ceil_div(args.k, 128);
  p.a = map_codes(args.a, rows, args.k, tile.bm >= 128 ? tile.bm / 2 : tile.bm);
  p.b = map_codes(args.b, groups * args.n, args.k, tile.bn);
  p.d_tiles = map_tiles(args.d, rows, args.n);
  p.weight_scales = args.b_scales;
  p.d = args.d;
  p.m = static_cast<int>(args.m), p.n = static_cast<int>(args.n);
  p.k_blocks = static_cast<int>(k_blocks), p.groups = static_cast<int>(groups);
  p.raster = strip;
  p.multicast = tile.multicast, p.split = tile.split;
  constexpr std::int64_t kL2 = 50 << 20;
  p.streams_d = 2 * rows * args.n > kL2;
  return p;
}

std::int64_t column_tiles(std::int64_t n, const Tile& tile) { return ceil_div(ceil_div(n, tile.bn), tile.multicast); }

/// Experts that follow one another begin on a multiple of 128 rows.
void require_contiguous_tile(const Tile& tile) {
  if ((tile.bm != 128 && tile.bm != 256) || tile.split > 1)
    throw KernelError(Fault::argument,
                      "a contiguous GEMM needs a tile of 128 or 256 rows without split, got " + describe(tile));
}

}  // namespace
void gemm(const GemmArgs& args, const Launch& launch) {
  const Device device = hopper_device();
  check(args, launch, device.sms);
  if (args.m == 0) return;
  const int sms = launch.sms > 0 ? launch.sms : device.sms;
  const Tile tile = choose_tile(args, sms);
  GemmParams p = describe_tensors(args, tile, strip_of(args, tile, sms), args.m, 1);
  p.a_scales = map_scales(args.a_scales, args.m, p.k_blocks, args.a_scale_stride, tile.bm);
  p.walk = Walk::dense;
  launch_weights(tile, p, launch, device, ceil_div(args.m, tile.bm) * column_tiles(args.n, tile));
}

void grouped_gemm_contiguous(const GroupedGemmArgs& args, const Launch& launch) {
  const Device device = hopper_device();
  check(args, launch, device.sms);
  if (args.m == 0) return;
  const Tile tile = choose_tile(args, launch.sms > 0 ? launch.sms : device.sms);
  require_contiguous_tile(tile);
  GemmParams p = describe_tensors(args, tile, strip_of(tile), args.m, args.groups);
  p.a_scales = map_scales(args.a_scales, args.m, p.k_blocks, args.a_scale_stride, tile.bm);
  p.map = args.block_group, p.rows = args.rows;
  p.walk = Walk::contiguous;
  launch_weights(tile, p, launch, device, ceil_div(args.m, 128) * column_tiles(args.n, tile));
}

void grouped_gemm_masked(const MaskedGemmArgs& args, const Launch& launch) {
  const Device device = hopper_device();
  check(args, launch, device.sms);
  if (args.m == 0) return;
  const Tile tile = choose_tile(args, launch.sms > 0 ? launch.sms : device.sms);
  if (tile.split > 1)
    throw KernelError(Fault::argument, "a masked GEMM needs a tile without split, got " + describe(tile));
  const std::int64_t row_tiles = args.groups * ceil_div(args.m, tile.bm);
  if (row_tiles > kRowTiles)
    throw KernelError(Fault::argument, "groups * ceil(m / " + std::to_string(tile.bm) + ") must be at most " +
                                           std::to_string(kRowTiles) + ", got " + std::to_string(row_tiles));
  GemmParams p = describe_tensors(args, tile, strip_of(tile), args.groups * args.m, args.groups);
  p.a_scales = map_scales(args.a_scales, args.m, args.groups * p.k_blocks, args.a_scale_stride, tile.bm);
  p.map = args.valid_rows;
  p.walk = Walk::masked;
  launch_weights(tile, p, launch, device, row_tiles * column_tiles(args.n, tile));
}

}  // namespace railcast::kernels
