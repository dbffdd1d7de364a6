// The compiled tiles of wgrad (1x128 scales on both sides, FP32 added to D).
#include "kernels/launch_tile.cuh"

namespace railcast::kernels {

void launch_tokens(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                   std::int64_t work) {
  if (tile.bm == 256 && tile.bn == 128)
    return launch_tile<TileConfig<256, 128, true>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 128)
    return launch_tile<TileConfig<128, 128, true>>(tile, params, launch, device, work);
  throw_no_such_tile(tile);
}

}  // namespace railcast::kernels
