// Launches one compiled tile.
#pragma once
#include <algorithm>
#include <atomic>

#include "kernels/block_gemm.cuh"
#include "kernels/error.hpp"
#include "kernels/launch.hpp"

namespace railcast::kernels {

/// Shared memory above 48 KB must be asked for once per kernel and device; this remembers for which it was.
template <class C>
void allow_shared_memory(const Device& device) {
  static std::atomic<std::uint64_t> allowed{0};
  const std::uint64_t bit = std::uint64_t{1} << (device.index % 64);
  if ((allowed.load(std::memory_order_acquire) & bit) != 0) return;
  throw_unless(cudaFuncSetAttribute(block_gemm<C>, cudaFuncAttributeMaxDynamicSharedMemorySize, C::kShared),
               "asking for shared memory");
  allowed.fetch_or(bit, std::memory_order_release);
}

/// Of the clusters that fit at once, those that the same number of waves needs: the others would save nothing and share
/// L2 and power with them until the last wave.
inline std::int64_t clusters_of(std::int64_t work, std::int64_t at_once) {
  if (work <= at_once) return work;
  const std::int64_t waves = (work + at_once - 1) / at_once;
  return (work + waves - 1) / waves;
}

template <class C>
void launch_tile(const Tile& tile, const GemmParams& given, const Launch& launch, const Device& device,
                 std::int64_t work) {
  GemmParams params = given;
  const int columns = tile.bn * tile.multicast;
  params.column_tiles = (params.n + columns - 1) / columns;
  params.height =
      params.walk == Walk::contiguous ? params.raster : std::min(params.raster, (params.m + tile.bm - 1) / tile.bm);
  params.by_columns = Divide(static_cast<std::uint32_t>(params.column_tiles));
  params.by_height = Divide(static_cast<std::uint32_t>(params.height));
  params.by_split = Divide(static_cast<std::uint32_t>(params.split));
  const int cluster = std::max(tile.multicast, tile.split), sms = launch.sms > 0 ? launch.sms : device.sms;
  if (cluster > sms || (tile.split > 1 && work * tile.split > sms))
    throw KernelError(Fault::argument, "the tile " + describe(tile) + " needs more than the " + std::to_string(sms) +
                                           " SMs it is given");
  if (tile.split > 1 && tile.split > params.k_blocks)
    throw KernelError(Fault::argument, "the tile " + describe(tile) + " shares K among more CTAs than its " +
                                           std::to_string(params.k_blocks) + " steps of 128");
  allow_shared_memory<C>(device);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = static_cast<unsigned>(cluster);
  attributes[0].val.clusterDim.y = attributes[0].val.clusterDim.z = 1;
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  // By group, the GPU alone knows how much work there is (or how deep it is)
  const std::int64_t at_once = sms / cluster;
  const bool known = params.walk == Walk::dense;
  config.gridDim =
      dim3(static_cast<unsigned>((known ? clusters_of(work, at_once) : std::min(work, at_once)) * cluster));
  config.blockDim = dim3(C::kThreads);
  config.dynamicSmemBytes = C::kShared;
  config.stream = launch.stream;
  config.attrs = attributes;
  config.numAttrs = launch.overlap_prologue ? 2 : 1;
  throw_unless(cudaLaunchKernelEx(&config, block_gemm<C>, params), "launching a GEMM");
}

}  // namespace railcast::kernels
