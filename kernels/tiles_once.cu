// The larger of the compiled tiles for problems of no more tiles than CTAs.
#include "kernels/launch_tile.cuh"

namespace railcast::kernels {

void launch_once(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                 std::int64_t work) {
  if (tile.bm == 256 && tile.bn == 128)
    return launch_tile<TileConfig<256, 128, false, true>>(tile, params, launch, device, work);
  if (tile.bm == 192 && tile.bn == 128)
    return launch_tile<TileConfig<192, 128, false, true>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 192)
    return launch_tile<TileConfig<128, 192, false, true>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 128)
    return launch_tile<TileConfig<128, 128, false, true>>(tile, params, launch, device, work);
  throw_no_such_tile(tile);
}

}  // namespace railcast::kernels
