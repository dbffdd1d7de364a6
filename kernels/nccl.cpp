#include "kernels/nccl.hpp"

#include <cstdint>

#include "kernels/error.hpp"
#include "kernels/exchange_memory.hpp"
#include "kernels/library.hpp"

namespace railcast::kernels {
namespace {

// NCCL's ABI, stable since 2.0: ncclResult_t and the enumerations are ints.
constexpr int kBf16 = 9, kInt8 = 0, kSum = 0, kSymmetric = 1, kLeastForWindows = 22800;

struct Library : SharedLibrary {
  const char* (*error)(int) = nullptr;
  int (*version)(int*) = nullptr;
  int (*init_all)(void**, int, const int*) = nullptr;
  int (*destroy)(void*) = nullptr;
  int (*group_start)() = nullptr;
  int (*group_end)() = nullptr;
  int (*all_reduce)(const void*, void*, std::size_t, int, int, void*, cudaStream_t) = nullptr;
  int (*all_gather)(const void*, void*, std::size_t, int, void*, cudaStream_t) = nullptr;
  int (*reduce_scatter)(const void*, void*, std::size_t, int, int, void*, cudaStream_t) = nullptr;
  int (*send)(const void*, std::size_t, int, int, void*, cudaStream_t) = nullptr;
  int (*receive)(void*, std::size_t, int, int, void*, cudaStream_t) = nullptr;
  // 2.27 and later; null before
  int (*allocate)(void**, std::size_t) = nullptr;
  int (*free)(void*) = nullptr;
  int (*window_register)(void*, void*, std::size_t, void**, int) = nullptr;
  int (*window_deregister)(void*, void*) = nullptr;
  int (*peer_pointer)(void*, std::size_t, int, void**) = nullptr;  ///< 2.29 and later

  bool open() {
    if (!open_first({"libnccl.so.2", "libnccl.so"})) return false;
    find(allocate, "ncclMemAlloc"), find(free, "ncclMemFree");
    find(window_register, "ncclCommWindowRegister"), find(window_deregister, "ncclCommWindowDeregister");
    find(peer_pointer, "ncclGetPeerDevicePointer");
    return find(error, "ncclGetErrorString") && find(version, "ncclGetVersion") && find(init_all, "ncclCommInitAll") &&
           find(destroy, "ncclCommDestroy") && find(group_start, "ncclGroupStart") && find(group_end, "ncclGroupEnd") &&
           find(all_reduce, "ncclAllReduce") && find(all_gather, "ncclAllGather") &&
           find(reduce_scatter, "ncclReduceScatter") && find(send, "ncclSend") && find(receive, "ncclRecv");
  }
};

Library& library() {
  static Library lib;
  static const bool ok = lib.open();
  if (!ok)
    throw KernelError(Fault::device,
                      "no libnccl.so.2 that can be opened; put its folder into LD_LIBRARY_PATH to measure NCCL");
  return lib;
}

void throw_unless_nccl(int status, const char* what) {
  if (status != 0) throw KernelError(Fault::device, std::string("NCCL: ") + what + ": " + library().error(status));
}

int version_code() {
  int code = 0;
  throw_unless_nccl(library().version(&code), "asking for the version");
  return code;
}

}  // namespace

const char* name_of(Collective collective) {
  switch (collective) {
    case Collective::all_reduce:
      return "all_reduce";
    case Collective::all_gather:
      return "all_gather";
    case Collective::reduce_scatter:
      return "reduce_scatter";
    case Collective::all_to_all:
      return "all_to_all";
  }
  return "";
}

NcclGroup::NcclGroup(const std::vector<int>& gpus) : gpus_(gpus), comms_(gpus.size()) {
  throw_unless_nccl(library().init_all(comms_.data(), static_cast<int>(gpus.size()), gpus.data()),
                    "making a communicator");
}

NcclGroup::~NcclGroup() {
  for (void* comm : comms_) library().destroy(comm);
}

std::string NcclGroup::version() {
  const int code = version_code();
  return std::to_string(code / 10000) + "." + std::to_string(code / 100 % 100) + "." + std::to_string(code % 100);
}

void NcclGroup::run(Collective collective, std::size_t bytes, const std::vector<const void*>& from,
                    const std::vector<void*>& to, const std::vector<cudaStream_t>& streams) const {
  const Library& lib = library();
  const std::size_t ranks = comms_.size(), all = bytes / 2, part = all / ranks;
  throw_unless_nccl(lib.group_start(), "starting a group");
  for (std::size_t r = 0; r < ranks; ++r) {
    const auto send_receive = [&] {
      int status = 0;
      for (std::size_t p = 0; p < ranks && status == 0; ++p) {
        const std::size_t at = p * part * 2;
        status =
            lib.send(static_cast<const char*>(from[r]) + at, part, kBf16, static_cast<int>(p), comms_[r], streams[r]);
        if (status == 0)
          status = lib.receive(static_cast<char*>(to[r]) + at, part, kBf16, static_cast<int>(p), comms_[r], streams[r]);
      }
      return status;
    };
    const int status =
        collective == Collective::all_reduce   ? lib.all_reduce(from[r], to[r], all, kBf16, kSum, comms_[r], streams[r])
        : collective == Collective::all_gather ? lib.all_gather(from[r], to[r], part, kBf16, comms_[r], streams[r])
        : collective == Collective::reduce_scatter
            ? lib.reduce_scatter(from[r], to[r], part, kBf16, kSum, comms_[r], streams[r])
            : send_receive();
    throw_unless_nccl(status, name_of(collective));
  }
  throw_unless_nccl(lib.group_end(), name_of(collective));
}

// ---- symmetric windows ----

namespace {

/// What a window's handle points to, in the GPU's memory, in NCCL 2.28 alone: its device headers publish this beginning
/// (ncclWindow_vidmem), for kernels to find peers' windows. 2.29 tells a host.
constexpr int kPublished = 228;
struct PublishedWindow {
  void* host;
  char* flat;  ///< rank 0's window; the next rank's is `stride` x 4 GiB further
  int rank_in_domain, rank;
  std::uint32_t stride;
};

PublishedWindow published(const void* handle) {
  cudaPointerAttributes where{};
  throw_unless(cudaPointerGetAttributes(&where, handle), "looking at a window's handle");
  if (where.type != cudaMemoryTypeDevice)
    throw KernelError(Fault::device, "NCCL " + NcclGroup::version() +
                                         " registered a window that is not symmetric; GPUs must see each other, and "
                                         "neither NCCL_CUMEM_ENABLE nor NCCL_WIN_ENABLE may be 0");
  PublishedWindow window{};
  throw_unless(cudaMemcpy(&window, handle, sizeof window, cudaMemcpyDeviceToHost), "reading a window's handle");
  return window;
}

KernelError elsewhere(std::size_t rank, std::size_t peer) {
  return {Fault::device, "the window of rank " + std::to_string(peer) + " is not where NCCL " + NcclGroup::version() +
                             " says that rank " + std::to_string(rank) +
                             " sees it; ranks must lie in one NVLink domain. Use peer access instead"};
}

}  // namespace

SymmetricWindows::SymmetricWindows(const NcclGroup& group) : group_(group), windows_(group.comms_.size()) {}

SymmetricWindows::SymmetricWindows(const NcclGroup& group, std::size_t bytes) : SymmetricWindows(group) {
  const Library& lib = library();
  const int version = version_code();
  if (version < kLeastForWindows || lib.window_register == nullptr || lib.allocate == nullptr)
    throw KernelError(Fault::device, "symmetric windows need NCCL 2.28 or later, found " + NcclGroup::version() +
                                         "; use peer access instead");
  if (lib.peer_pointer == nullptr && version / 100 != kPublished)
    throw KernelError(Fault::device, "NCCL " + NcclGroup::version() + " has no ncclGetPeerDevicePointer, and is not " +
                                         "2.28, whose windows say where they lie; use peer access instead");
  allocate(bytes), enroll(bytes);
  const std::size_t ranks = windows_.size();
  seen_.assign(ranks, std::vector<char*>(ranks));
  for (std::size_t r = 0; r < ranks; ++r)
    for (std::size_t p = 0; p < ranks; ++p) {
      const OnDevice here(group_.gpus_[r]);
      seen_[r][p] = locate(r, p);
    }
  compare();
}

SymmetricWindows::~SymmetricWindows() {
  const Library& lib = library();
  for (std::size_t r = 0; r < windows_.size(); ++r) {
    if (windows_[r].handle != nullptr) lib.window_deregister(group_.comms_[r], windows_[r].handle);
    if (windows_[r].memory != nullptr) lib.free(windows_[r].memory);
  }
}

void SymmetricWindows::allocate(std::size_t bytes) {
  for (std::size_t r = 0; r < windows_.size(); ++r) {
    const OnDevice here(group_.gpus_[r]);
    throw_unless_nccl(library().allocate(&windows_[r].memory, bytes), "allocating a window");
    throw_unless(cudaMemset(windows_[r].memory, 0, bytes), "clearing a window");
    throw_unless(cudaDeviceSynchronize(), "clearing a window");
  }
}

void SymmetricWindows::enroll(std::size_t bytes) {
  const Library& lib = library();
  throw_unless_nccl(lib.group_start(), "starting a group");
  for (std::size_t r = 0; r < windows_.size(); ++r)
    throw_unless_nccl(lib.window_register(group_.comms_[r], windows_[r].memory, bytes, &windows_[r].handle, kSymmetric),
                      "registering a window");
  throw_unless_nccl(lib.group_end(), "registering windows");
}

/// The peer's window as the rank, whose GPU is current, sees it.
char* SymmetricWindows::locate(std::size_t rank, std::size_t peer) const {
  const Library& lib = library();
  if (lib.peer_pointer != nullptr) {
    void* at = nullptr;
    throw_unless_nccl(lib.peer_pointer(windows_[rank].handle, 0, static_cast<int>(peer), &at), "asking for a window");
    if (at == nullptr) throw elsewhere(rank, peer);
    return static_cast<char*>(at);
  }
  const PublishedWindow window = published(windows_[rank].handle);
  const auto expected = static_cast<int>(rank);
  if (window.rank != expected || window.rank_in_domain != expected) throw elsewhere(rank, peer);
  return window.flat + (static_cast<std::size_t>(window.stride) << 32) * peer;
}

/// Every rank writes its number where it allocated its window, and must find each other's at the address seen.
void SymmetricWindows::compare() const {
  const auto write = [&](std::size_t rank, std::size_t value) {
    const OnDevice here(group_.gpus_[rank]);
    throw_unless(cudaMemcpy(windows_[rank].memory, &value, sizeof value, cudaMemcpyHostToDevice), "marking a window");
    throw_unless(cudaDeviceSynchronize(), "marking a window");
  };
  for (std::size_t r = 0; r < windows_.size(); ++r) write(r, r + 1);
  for (std::size_t r = 0; r < windows_.size(); ++r)
    for (std::size_t p = 0; p < windows_.size(); ++p) {
      const OnDevice here(group_.gpus_[r]);
      std::size_t found = 0;
      if (cudaMemcpy(&found, seen_[r][p], sizeof found, cudaMemcpyDeviceToHost) != cudaSuccess || found != p + 1)
        throw elsewhere(r, p);
    }
  for (std::size_t r = 0; r < windows_.size(); ++r) write(r, 0);
}

}  // namespace railcast::kernels
