// Ranks on one GPU or on several of this process: where their windows lie, and a launch on each GPU for its ranks.
#pragma once
#include <memory>
#include <vector>

#include "kernels/exchange_memory.hpp"
#include "kernels/nccl.hpp"

namespace railcast::kernels::layer {

class RankGroups {
 public:
  enum class Way { peer_access, nccl_windows };
  /// Ranks dealt to the GPUs in runs of neighbours; at least as many ranks as GPUs.
  RankGroups(int ranks, std::int64_t window_bytes, std::vector<int> gpus, Way way = Way::peer_access);
  ~RankGroups();
  RankGroups(const RankGroups&) = delete;
  RankGroups& operator=(const RankGroups&) = delete;

  struct Group {
    int gpu = 0;
    Peers peers;  ///< serving this GPU's ranks, windows as it sees them
    cudaStream_t stream = nullptr;
  };
  const std::vector<Group>& groups() const { return groups_; }
  const Group& group_of(int rank) const;
  /// All ranks, as the first GPU sees their windows.
  Peers all() const;

  /// Calls launch(arguments for the group's ranks, group) with each group's GPU current. `arguments.rank` holds all
  /// ranks from 0 on.
  template <typename Args, typename Launcher>
  void each(const Args& arguments, Launcher launch) const {
    for (const Group& g : groups_) {
      const OnDevice here(g.gpu);
      Args mine = arguments;
      mine.peers = g.peers;
      for (int i = 0; i < g.peers.local; ++i) mine.rank[i] = arguments.rank[g.peers.first + i];
      launch(mine, g);
    }
  }
  /// Waits for every GPU; throws if a rank was late.
  void check(const char* kernel) const;
  void wait() const;  ///< for every GPU

 private:
  std::vector<Group> groups_;
  std::unique_ptr<PeerRanks> memory_;
  std::unique_ptr<NcclGroup> nccl_;
};

/// Every Hopper GPU of this machine.
std::vector<int> all_gpus();

}  // namespace railcast::kernels::layer
