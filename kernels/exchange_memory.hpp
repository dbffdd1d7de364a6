// Windows (of window_of(shape).bytes) for dispatch and combine: on one GPU, on several GPUs of a process, and of
// several processes.
#pragma once
#include <cuda_runtime_api.h>

#include <vector>

#include "kernels/device_array.hpp"
#include "kernels/exchange.hpp"

namespace railcast::kernels {

/// The current device while it lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

/// All ranks in the current GPU's memory: the check of correctness, and of what the memory side can do.
class VirtualRanks {
 public:
  VirtualRanks(int ranks, std::int64_t window_bytes);
  Peers peers() const { return some(0, ranks_); }
  Peers some(int first, int count) const;  ///< a launch for these ranks alone

 private:
  int ranks_;
  std::int64_t window_bytes_;
  DeviceArray<char> memory_;
};

/// Ranks on GPUs of this process: rank r's window lies on devices[r]. Throws KernelError (Fault::device) naming two
/// GPUs that cannot see each other. One thread that launches for several GPUs must have every kernel loaded before
/// (CUDA_MODULE_LOADING=EAGER): loading one can wait for another that waits for a rank not yet launched.
class PeerRanks {
 public:
  PeerRanks(std::int64_t window_bytes, const std::vector<int>& devices);
  Peers some(int first, int count) const;  ///< for a launch on the device of these ranks

 private:
  std::vector<DeviceArray<char>> windows_;
};

/// Peer access between all of these; throws as PeerRanks does.
void see_each_other(const std::vector<int>& devices);

/// One rank a process: this one's window, to be opened by the others. Handles travel by whatever the processes share.
class IpcRank {
 public:
  IpcRank(std::int64_t window_bytes, int rank);
  /// Every process must have closed the others' windows before one frees its own.
  ~IpcRank() { close(); }
  IpcRank(const IpcRank&) = delete;
  IpcRank& operator=(const IpcRank&) = delete;
  cudaIpcMemHandle_t handle() const;
  /// handles[r] is rank r's; its own is not opened.
  Peers open(const std::vector<cudaIpcMemHandle_t>& handles);
  void close();  ///< the others' windows

 private:
  int rank_;
  DeviceArray<char> window_;
  std::vector<void*> opened_;
};

}  // namespace railcast::kernels
