// The compiled tiles of gemm and grouped_gemm (B with 128x128 scales, BF16 out).
#include "kernels/launch_tile.cuh"

namespace railcast::kernels {

void launch_weights_128(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                        std::int64_t work);

void launch_once(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                 std::int64_t work);

void launch_weights(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                    std::int64_t work) {
  const int cluster = std::max(tile.multicast, tile.split), sms = launch.sms > 0 ? launch.sms : device.sms;
  if (params.walk == Walk::dense && work * cluster <= sms && tile.bm * tile.bn >= 128 * 128)
    return launch_once(tile, params, launch, device, work);
  if (tile.bm == 256 && tile.bn == 128)
    return launch_tile<TileConfig<256, 128, false>>(tile, params, launch, device, work);
  if (tile.bm == 192 && tile.bn == 128)
    return launch_tile<TileConfig<192, 128, false>>(tile, params, launch, device, work);
  if (tile.bm == 128 && tile.bn == 192)
    return launch_tile<TileConfig<128, 192, false>>(tile, params, launch, device, work);
  launch_weights_128(tile, params, launch, device, work);
}

}  // namespace railcast::kernels
