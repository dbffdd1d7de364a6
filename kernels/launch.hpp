// Inside kernels/: from a descriptor's facts to a launch.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/gemm.hpp"

namespace railcast::kernels {

struct GemmParams;  // schedule.cuh

/// The current device; throws KernelError (Fault::device) unless it is a Hopper GPU with a driver.
struct Device {
  int index = 0, sms = 0;
};
Device hopper_device();

/// E4M3 [rows, k], K innermost, boxes of box_rows x 128, 128-byte swizzle.
CUtensorMap map_codes(const void* data, std::int64_t rows, std::int64_t k, int box_rows);
/// BF16 [rows, columns] in boxes of 64 x 64, 128-byte swizzle.
CUtensorMap map_tiles(const void* data, std::int64_t rows, std::int64_t columns);
/// FP32 scales [k_blocks][stride], boxes of `box` neighbouring rows of one k block.
CUtensorMap map_scales(const float* data, std::int64_t rows, std::int64_t k_blocks, std::int64_t stride, int box);

/// Launches the compiled tile. `work`: how many clusters can be busy at most.
void launch_weights(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                    std::int64_t work);
void launch_tokens(const Tile& tile, const GemmParams& params, const Launch& launch, const Device& device,
                   std::int64_t work);

void throw_unless(cudaError_t status, const char* what);
[[noreturn]] void throw_no_such_tile(const Tile& tile);

}  // namespace railcast::kernels
