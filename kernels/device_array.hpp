// Memory of the GPU that frees itself.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/launch.hpp"

namespace railcast::kernels {

template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(std::size_t count) : count_(count) {
    if (count > 0) throw_unless(cudaMalloc(&data_, count * sizeof(T)), "allocating GPU memory");
  }
  explicit DeviceArray(const std::vector<T>& host) : DeviceArray(host.size()) {
    throw_unless(cudaMemcpy(data_, host.data(), bytes(), cudaMemcpyHostToDevice), "copying to the GPU");
    // What cudaMemcpy staged may still be on its way, and a non-blocking stream does not wait for it
    throw_unless(cudaStreamSynchronize(nullptr), "copying to the GPU");
  }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_), std::swap(count_, other.count_);
    return *this;
  }
  ~DeviceArray() { cudaFree(data_); }

  T* get() const { return static_cast<T*>(data_); }
  std::size_t size() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(T); }
  std::vector<T> host() const {
    std::vector<T> copy(count_);
    throw_unless(cudaMemcpy(copy.data(), data_, bytes(), cudaMemcpyDeviceToHost), "copying from the GPU");
    return copy;
  }

 private:
  void* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace railcast::kernels
