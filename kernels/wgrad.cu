// wgrad on the host, dense and grouped along tokens.
#include <algorithm>

#include "kernels/launch.hpp"
#include "kernels/schedule.cuh"

namespace railcast::kernels {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

void wgrad(const WgradArgs& args, const Launch& launch) {
  const Device device = hopper_device();
  check(args, launch, device.sms);
  if (args.m == 0 || args.k == 0) return;
  const Tile tile = choose_tile(args, launch.sms > 0 ? launch.sms : device.sms);
  GemmParams p{};
  p.k_blocks = static_cast<int>(ceil_div(args.k, 128));
  p.a = map_codes(args.a, args.m, args.k, tile.bm / 2);
  p.b = map_codes(args.b, args.n, args.k, tile.bn);
  p.a_scales = map_scales(args.a_scales, args.m, p.k_blocks, args.a_scale_stride, tile.bm);
  p.b_scales = map_scales(args.b_scales, args.n, p.k_blocks, args.b_scale_stride, tile.bn);
  p.d = args.d;
  p.map = args.k_offsets;
  p.m = static_cast<int>(args.m), p.n = static_cast<int>(args.n);
  p.groups = static_cast<int>(std::max<std::int64_t>(1, args.groups));
  p.raster = strip_of(tile);
  p.multicast = tile.multicast, p.split = 1;
  p.walk = args.groups > 0 ? Walk::token_groups : Walk::dense;
  const std::int64_t tiles = p.groups * ceil_div(args.m, tile.bm) * ceil_div(ceil_div(args.n, tile.bn), tile.multicast);
  launch_tokens(tile, p, launch, device, tiles);
}

}  // namespace railcast::kernels
