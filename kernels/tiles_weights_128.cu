// The smaller of the compiled tiles.
#include "kernels/launch_tile.cuh"

namespace railcast::kernels {

void launch_weights_128(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                        std::int64_t work) {
  if (tile.bm == 128 && tile.bn == 128)
    return launch_tile<TileConfig<128, 128, false>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 64)
    return launch_tile<TileConfig<128, 64, false>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 160)
    return launch_tile<TileConfig<128, 160, false>>(tile, params, launch, device, work);
  if (tile.bm == 64 && tile.bn == 128)
    return launch_tile<TileConfig<64, 128, false>>(tile, params, launch, device, work);
  if (tile.bm == 64 && tile.bn == 64) return launch_tile<TileConfig<64, 64, false>>(tile, params, launch, device, work);
  if (tile.bm == 64 && tile.bn == 32) return launch_tile<TileConfig<64, 32, false>>(tile, params, launch, device, work);
  throw_no_such_tile(tile);
}

}  // namespace railcast::kernels
