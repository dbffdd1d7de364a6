#include "kernels/exchange_memory.hpp"

#include <string>

#include "kernels/error.hpp"

namespace railcast::kernels {
namespace {

DeviceArray<char> zeroed(std::int64_t bytes) {
  DeviceArray<char> memory(static_cast<std::size_t>(bytes));
  throw_unless(cudaMemset(memory.get(), 0, memory.bytes()), "clearing a window");
  throw_unless(cudaDeviceSynchronize(), "clearing a window");
  return memory;
}

void see(int device, int other) {
  int can = 0;
  throw_unless(cudaDeviceCanAccessPeer(&can, device, other), "asking for peer access");
  if (can == 0)
    throw KernelError(Fault::device, "GPU " + std::to_string(device) + " cannot see the memory of GPU " +
                                         std::to_string(other) + "; ranks must lie in one NVLink or PCIe peer domain");
  const cudaError_t status = cudaDeviceEnablePeerAccess(other, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled)
    cudaGetLastError();
  else
    throw_unless(status, "enabling peer access");
}

}  // namespace

OnDevice::OnDevice(int device) {
  throw_unless(cudaGetDevice(&before_), "asking for the current device");
  throw_unless(cudaSetDevice(device), "choosing a device");
}
OnDevice::~OnDevice() { cudaSetDevice(before_); }

VirtualRanks::VirtualRanks(int ranks, std::int64_t window_bytes)
    : ranks_(ranks), window_bytes_(window_bytes), memory_(zeroed(window_bytes * ranks)) {}

Peers VirtualRanks::some(int first, int count) const {
  Peers peers;
  peers.first = first, peers.local = count;
  for (int r = 0; r < ranks_; ++r) peers.window[r] = memory_.get() + r * window_bytes_;
  return peers;
}

PeerRanks::PeerRanks(std::int64_t window_bytes, const std::vector<int>& devices) {
  if (devices.empty() || devices.size() > kMostRanks)
    throw KernelError(Fault::argument, "expected 1 to 64 GPUs, one a rank, got " + std::to_string(devices.size()));
  for (const int device : devices) {
    const OnDevice here(device);
    windows_.push_back(zeroed(window_bytes));
  }
  see_each_other(devices);
}

void see_each_other(const std::vector<int>& devices) {
  for (const int device : devices) {
    const OnDevice here(device);
    for (const int other : devices)
      if (other != device) see(device, other);
  }
}

Peers PeerRanks::some(int first, int count) const {
  Peers peers;
  peers.first = first, peers.local = count;
  for (std::size_t r = 0; r < windows_.size(); ++r) peers.window[r] = windows_[r].get();
  return peers;
}

IpcRank::IpcRank(std::int64_t window_bytes, int rank) : rank_(rank), window_(zeroed(window_bytes)) {}

void IpcRank::close() {
  for (void* window : opened_) cudaIpcCloseMemHandle(window);
  opened_.clear();
}

cudaIpcMemHandle_t IpcRank::handle() const {
  cudaIpcMemHandle_t handle;
  throw_unless(cudaIpcGetMemHandle(&handle, window_.get()), "sharing a window");
  return handle;
}

Peers IpcRank::open(const std::vector<cudaIpcMemHandle_t>& handles) {
  Peers peers;
  peers.first = rank_;
  for (std::size_t r = 0; r < handles.size(); ++r) {
    void* window = window_.get();
    if (static_cast<int>(r) != rank_) {
      throw_unless(cudaIpcOpenMemHandle(&window, handles[r], cudaIpcMemLazyEnablePeerAccess), "opening a window");
      opened_.push_back(window);
    }
    peers.window[r] = static_cast<char*>(window);
  }
  return peers;
}

}  // namespace railcast::kernels
