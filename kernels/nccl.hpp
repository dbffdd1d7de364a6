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

  /// A window of `bytes` on every rank, registered as symmetric memory. [rank][peer]: the peer's window as the rank
  /// sees it. Throws KernelError (Fault::device) below NCCL 2.28, or where the library cannot tell a host the pointers.
  std::vector<std::vector<char*>> symmetric_windows(std::size_t bytes);

 private:
  struct Window {
    void* memory = nullptr;
    void* handle = nullptr;
  };
  std::vector<int> gpus_;
  std::vector<void*> comms_;
  std::vector<Window> windows_;
};

}  // namespace railcast::kernels
