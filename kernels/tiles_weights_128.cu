// The compiled tiles of at most 128 rows.
#include "kernels/launch_tile.cuh"

namespace railcast::kernels {

void launch_weights_128(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                        std::int64_t work) {
  if (tile.bm == 128 && tile.bn == 176)
    return launch_tile<TileConfig<128, 176, false>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 136)
    return launch_tile<TileConfig<128, 136, false>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 128)
    return launch_tile<TileConfig<128, 128, false>>(tile, params, launch, device, work);
  if (tile.bm == 64 && tile.bn == 128)
    return launch_tile<TileConfig<64, 128, false>>(tile, params, launch, device, work);
  throw_no_such_tile(tile);
}

}  // namespace railcast::kernels
