// NCCL found at run time (no link, no header): the collectives to measure beside our own exchange, and symmetric
// windows as memory for it.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>
#include <vector>

namespace railcast::kernels {

enum class Collective { all_reduce, all_gather, reduce_scatter, all_to_all };
const char* name_of(Collective collective);

/// One communicator over GPUs of this process, a rank each.
class NcclGroup {
 public:
  /// Throws KernelError (Fault::device) where there is no library, or it fails.
  explicit NcclGroup(const std::vector<int>& gpus);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  static std::string version();  ///< "2.28.9"; throws as the constructor does

  /// On every rank's stream. `bytes` (a multiple of 2 x ranks; BF16): of the larger of a rank's two buffers, as the
  /// collectives' sizes are usually given.
  void run(Collective collective, std::size_t bytes, const std::vector<const void*>& from, const std::vector<void*>& to,
           const std::vector<cudaStream_t>& streams) const;

 private:
  friend class SymmetricWindows;
  std::vector<int> gpus_;
  std::vector<void*> comms_;
};

/// A zeroed window of `bytes` on every rank of a group, registered as symmetric memory. To go before the group does.
class SymmetricWindows {
 public:
  /// Throws KernelError (Fault::device) below NCCL 2.28, where the ranks do not all lie in one NVLink domain, or where
  /// a rank does not find the others' windows at the addresses that NCCL gives.
  SymmetricWindows(const NcclGroup& group, std::size_t bytes);
  ~SymmetricWindows();
  SymmetricWindows(const SymmetricWindows&) = delete;
  SymmetricWindows& operator=(const SymmetricWindows&) = delete;

  /// [rank][peer]: the peer's window as the rank sees it.
  const std::vector<std::vector<char*>>& seen() const { return seen_; }

 private:
  struct Window {
    void* memory = nullptr;
    void* handle = nullptr;
  };
  explicit SymmetricWindows(const NcclGroup& group);
  void allocate(std::size_t bytes);
  void enroll(std::size_t bytes);
  char* locate(std::size_t rank, std::size_t peer) const;
  void compare() const;

  const NcclGroup& group_;
  std::vector<Window> windows_;
  std::vector<std::vector<char*>> seen_;
};

}  // namespace railcast::kernels
