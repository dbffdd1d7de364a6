#include "kernels/rank_groups.hpp"

#include <algorithm>
#include <cstring>

namespace railcast::kernels::layer {
namespace {

/// Every process's window, opened: the memory of each share of the ranks as this process sees it.
std::vector<char*> open_all(IpcRank& mine, Processes& processes) {
  const cudaIpcMemHandle_t handle = mine.handle();
  std::vector<cudaIpcMemHandle_t> handles;
  for (const std::string& given : processes.gather("window", {handle.reserved, sizeof handle.reserved})) {
    handles.emplace_back();
    std::memcpy(handles.back().reserved, given.data(), std::min(given.size(), sizeof handle.reserved));
  }
  const Peers peers = mine.open(handles);
  return {peers.window, peers.window + processes.count()};
}

}  // namespace

RankGroups::RankGroups(int ranks, std::int64_t window_bytes, Domain domain)
    : domain_(std::move(domain)), ranks_(ranks) {
  const int shares = domain_.shares(), first = domain_.processes != nullptr ? domain_.processes->rank() : 0;
  for (std::size_t g = 0; g < domain_.gpus.size(); ++g) {
    const OnDevice here(domain_.gpus[g]);
    const int share = first + static_cast<int>(g);
    Group group;
    group.gpu = domain_.gpus[g];
    group.peers.first = first_of(share), group.peers.local = first_of(share + 1) - group.peers.first;
    throw_unless(cudaStreamCreate(&group.stream), "creating a stream");
    groups_.push_back(group);
  }
  const std::int64_t most = (ranks + shares - 1) / shares;
  if (domain_.processes != nullptr) {
    ipc_ = std::make_unique<IpcRank>(most * window_bytes, first);
    lay({open_all(*ipc_, *domain_.processes)}, window_bytes);
  } else if (domain_.nccl != nullptr) {
    nccl_ = std::make_unique<SymmetricWindows>(*domain_.nccl, static_cast<std::size_t>(most * window_bytes));
    lay(nccl_->seen(), window_bytes);
  } else {
    std::vector<int> device_of;
    for (const Group& g : groups_) device_of.insert(device_of.end(), static_cast<std::size_t>(g.peers.local), g.gpu);
    memory_ = std::make_unique<PeerRanks>(window_bytes, device_of);
    for (Group& g : groups_) g.peers = memory_->some(g.peers.first, g.peers.local);
  }
}

void RankGroups::lay(const std::vector<std::vector<char*>>& seen, std::int64_t window_bytes) {
  for (std::size_t g = 0; g < groups_.size(); ++g)
    for (int share = 0; share < domain_.shares(); ++share)
      for (int rank = first_of(share); rank < first_of(share + 1); ++rank)
        groups_[g].peers.window[rank] =
            seen[g][static_cast<std::size_t>(share)] + (rank - first_of(share)) * window_bytes;
}

RankGroups::~RankGroups() {
  for (const Group& g : groups_) cudaStreamDestroy(g.stream);
  if (!ipc_) return;
  ipc_->close();
  domain_.processes->met("closed windows");  // else they have ended, and need this one's no more
}

const RankGroups::Group& RankGroups::group_of(int rank) const {
  return *std::find_if(groups_.begin(), groups_.end(),
                       [&](const Group& g) { return rank < g.peers.first + g.peers.local; });
}

bool RankGroups::serves(int rank) const {
  const Peers peers = all();
  return rank >= peers.first && rank < peers.first + peers.local;
}

Peers RankGroups::all() const {
  Peers peers = groups_.front().peers;
  peers.local = groups_.back().peers.first + groups_.back().peers.local - peers.first;
  return peers;
}

void RankGroups::meet(const char* point) const {
  if (domain_.processes != nullptr) domain_.processes->meet(point);
}

void RankGroups::wait() const {
  for (const Group& g : groups_) {
    const OnDevice here(g.gpu);
    throw_unless(cudaDeviceSynchronize(), "waiting for a GPU");
  }
  meet("wait");
}

void RankGroups::check(const char* kernel) const {
  for (const Group& g : groups_) {
    const OnDevice here(g.gpu);
    throw_if_late(g.peers, kernel);
  }
  meet(kernel);
}

std::vector<int> all_gpus() {
  int count = 0;
  throw_unless(cudaGetDeviceCount(&count), "counting GPUs");
  std::vector<int> gpus;
  for (int g = 0; g < count; ++g) gpus.push_back(g);
  return gpus;
}

}  // namespace railcast::kernels::layer
