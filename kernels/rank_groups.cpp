#include "kernels/rank_groups.hpp"

#include <algorithm>

namespace railcast::kernels::layer {

RankGroups::RankGroups(int ranks, std::int64_t window_bytes, std::vector<int> gpus, Way way) {
  const auto count = static_cast<int>(gpus.size());
  std::vector<int> device_of;
  for (int g = 0; g < count; ++g) {
    const OnDevice here(gpus[static_cast<std::size_t>(g)]);
    Group group;
    group.gpu = gpus[static_cast<std::size_t>(g)];
    group.peers.first = g * ranks / count, group.peers.local = (g + 1) * ranks / count - group.peers.first;
    device_of.insert(device_of.end(), static_cast<std::size_t>(group.peers.local), group.gpu);
    throw_unless(cudaStreamCreate(&group.stream), "creating a stream");
    groups_.push_back(group);
  }
  if (way == Way::peer_access) {
    memory_ = std::make_unique<PeerRanks>(window_bytes, device_of);
    for (Group& g : groups_) g.peers = memory_->some(g.peers.first, g.peers.local);
    return;
  }
  nccl_ = std::make_unique<NcclGroup>(gpus);
  const std::int64_t most = (ranks + count - 1) / count;
  const auto seen = nccl_->symmetric_windows(static_cast<std::size_t>(most * window_bytes));
  for (std::size_t g = 0; g < groups_.size(); ++g)
    for (std::size_t owner = 0; owner < groups_.size(); ++owner)
      for (int i = 0; i < groups_[owner].peers.local; ++i)
        groups_[g].peers.window[groups_[owner].peers.first + i] = seen[g][owner] + i * window_bytes;
}

RankGroups::~RankGroups() {
  for (const Group& g : groups_) cudaStreamDestroy(g.stream);
}

const RankGroups::Group& RankGroups::group_of(int rank) const {
  return *std::find_if(groups_.begin(), groups_.end(),
                       [&](const Group& g) { return rank < g.peers.first + g.peers.local; });
}

Peers RankGroups::all() const {
  Peers peers = groups_.front().peers;
  peers.first = 0, peers.local = groups_.back().peers.first + groups_.back().peers.local;
  return peers;
}

void RankGroups::wait() const {
  for (const Group& g : groups_) {
    const OnDevice here(g.gpu);
    throw_unless(cudaDeviceSynchronize(), "waiting for a GPU");
  }
}

void RankGroups::check(const char* kernel) const {
  for (const Group& g : groups_) {
    const OnDevice here(g.gpu);
    throw_if_late(g.peers, kernel);
  }
}

std::vector<int> all_gpus() {
  int count = 0;
  throw_unless(cudaGetDeviceCount(&count), "counting GPUs");
  std::vector<int> gpus;
  for (int g = 0; g < count; ++g) gpus.push_back(g);
  return gpus;
}

}  // namespace railcast::kernels::layer
