// Hopper's bulk copies: the 1-D form of TMA, between shared memory and plain addresses.
#pragma once
#include <cstdint>

#include "kernels/device.cuh"

namespace railcast::kernels::device {

/// A transaction barrier in shared memory: flips when its arrivals and all announced bytes have come.
struct Barrier {
  std::uint64_t word;

  __device__ __forceinline__ std::uint32_t address() const { return shared_address(&word); }
  __device__ __forceinline__ void init(int arrivals) { barrier_init(address(), static_cast<std::uint32_t>(arrivals)); }
  __device__ __forceinline__ void expect(std::uint32_t bytes) { barrier_expect(address(), bytes); }
  /// Until the phase of this parity is complete.
  __device__ __forceinline__ void wait(std::uint32_t phase) const { barrier_wait(address(), phase); }
};

/// Bytes a multiple of 16, both addresses aligned to 16.
__device__ __forceinline__ void bulk_load(void* shared, const void* global, std::uint32_t bytes, Barrier& full) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(shared)),
               "l"(global), "r"(bytes), "r"(full.address())
               : "memory");
}
__device__ __forceinline__ void bulk_store(void* global, const void* shared, std::uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(global), "r"(shared_address(shared)),
               "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/// Until at most `pending` of this thread's groups still read shared memory.
template <int pending>
__device__ __forceinline__ void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(pending) : "memory");
}
/// Until all of this thread's bulk stores are complete and visible.
__device__ __forceinline__ void bulk_wait_all() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }

}  // namespace railcast::kernels::device
