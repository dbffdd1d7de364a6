#include "kernels/launch.hpp"

#include <cuda.h>

#include <string>

#include "kernels/error.hpp"

namespace railcast::kernels {
namespace {

using Encode = decltype(&cuTensorMapEncodeTiled);

/// The driver's encoder, found through the runtime so that nothing links libcuda.
Encode find_encoder() {
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult result{};
  throw_unless(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &result),
               "looking up cuTensorMapEncodeTiled");
  if (result != cudaDriverEntryPointSuccess || entry == nullptr)
    throw KernelError(Fault::driver, "the driver has no cuTensorMapEncodeTiled; install a driver for CUDA 12 or newer");
  return reinterpret_cast<Encode>(entry);
}

CUtensorMap encode(CUtensorMapDataType type, const void* data, std::int64_t inner, std::int64_t outer,
                   std::int64_t pitch_bytes, int box_inner, int box_outer, CUtensorMapSwizzle swizzle) {
  static const Encode encoder = find_encoder();
  const cuuint64_t dims[2] = {static_cast<cuuint64_t>(inner), static_cast<cuuint64_t>(outer)};
  const cuuint64_t pitch[1] = {static_cast<cuuint64_t>(pitch_bytes)};
  const cuuint32_t box[2] = {static_cast<cuuint32_t>(box_inner), static_cast<cuuint32_t>(box_outer)};
  const cuuint32_t strides[2] = {1, 1};
  CUtensorMap map;
  const CUresult status =
      encoder(&map, type, 2, const_cast<void*>(data), dims, pitch, box, strides, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
              CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    throw KernelError(Fault::argument, "the driver refused a tensor map of " + std::to_string(outer) + " x " +
                                           std::to_string(inner) + ", pitch " + std::to_string(pitch_bytes) +
                                           " bytes (CUresult " + std::to_string(status) + ")");
  return map;
}

}  // namespace

void throw_unless(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  const bool driver = status == cudaErrorInsufficientDriver || status == cudaErrorNoDevice;
  throw KernelError(driver ? Fault::driver : Fault::launch,
                    std::string(what) + ": " + cudaGetErrorName(status) + ": " + cudaGetErrorString(status) +
                        (driver ? "; a Hopper GPU and a driver for CUDA 13 are needed" : ""));
}

void throw_no_such_tile(const Tile& tile) {
  throw KernelError(Fault::argument, "no kernel is compiled for the tile " + describe(tile) +
                                         "; model/gemm_tile.cpp lists those that are");
}

Device hopper_device() {
  Device device;
  throw_unless(cudaGetDevice(&device.index), "asking for the current device");
  int major = 0, minor = 0;
  throw_unless(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.index), "compute capability");
  throw_unless(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device.index), "compute capability");
  if (major != 9 || minor != 0)
    throw KernelError(Fault::device, "these kernels need a Hopper GPU (compute capability 9.0), device " +
                                         std::to_string(device.index) + " has " + std::to_string(major) + "." +
                                         std::to_string(minor));
  throw_unless(cudaDeviceGetAttribute(&device.sms, cudaDevAttrMultiProcessorCount, device.index), "number of SMs");
  return device;
}

CUtensorMap map_codes(const void* data, std::int64_t rows, std::int64_t k, int box_rows) {
  return encode(CU_TENSOR_MAP_DATA_TYPE_UINT8, data, k, rows, k, 128, box_rows, CU_TENSOR_MAP_SWIZZLE_128B);
}

CUtensorMap map_tiles(const void* data, std::int64_t rows, std::int64_t columns) {
  return encode(CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, data, columns, rows, columns * 2, 64, 64, CU_TENSOR_MAP_SWIZZLE_128B);
}

CUtensorMap map_scales(const float* data, std::int64_t rows, std::int64_t k_blocks, std::int64_t stride, int box) {
  return encode(CU_TENSOR_MAP_DATA_TYPE_FLOAT32, data, rows, k_blocks, stride * 4, box, 1, CU_TENSOR_MAP_SWIZZLE_NONE);
}

}  // namespace railcast::kernels
