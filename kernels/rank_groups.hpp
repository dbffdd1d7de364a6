// Ranks on one GPU, on several of this process or of several processes: where their windows lie, and a launch on each
// GPU of this process for its ranks.
#pragma once
#include <memory>
#include <vector>

#include "kernels/exchange_memory.hpp"
#include "kernels/nccl.hpp"
#include "kernels/processes.hpp"

namespace railcast::kernels::layer {

/// GPUs that ranks are dealt to, and how they see each other's windows: by peer access unless one of the others is
/// given.
struct Domain {
  std::vector<int> gpus;            ///< of this process
  const NcclGroup* nccl = nullptr;  ///< over these GPUs: its symmetric windows
  Processes* processes = nullptr;   ///< CUDA IPC; each process has one GPU, and launches for its ranks
  int shares() const {              ///< that the ranks are dealt to
    return processes != nullptr ? processes->count() : static_cast<int>(gpus.size());
  }
};

class RankGroups {
 public:
  /// Ranks dealt to the GPUs in runs of neighbours; at least as many ranks as GPUs.
  RankGroups(int ranks, std::int64_t window_bytes, Domain domain);
  ~RankGroups();
  RankGroups(const RankGroups&) = delete;
  RankGroups& operator=(const RankGroups&) = delete;

  struct Group {
    int gpu = 0;
    Peers peers;  ///< serving this GPU's ranks, windows as it sees them
    cudaStream_t stream = nullptr;
  };
  const std::vector<Group>& groups() const { return groups_; }
  const Group& group_of(int rank) const;  ///< of a rank that this process serves
  bool serves(int rank) const;
  /// All ranks that this process serves, windows as its first GPU sees them.
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
  /// As wait; throws if a rank was late.
  void check(const char* kernel) const;
  void wait() const;  ///< for every GPU of every process

 private:
  /// seen[i][s]: where group i sees the memory of share s of the ranks, whose windows lie one after another.
  void lay(const std::vector<std::vector<char*>>& seen, std::int64_t window_bytes);
  void meet(const char* point) const;
  int first_of(int share) const { return share * ranks_ / domain_.shares(); }

  Domain domain_;
  int ranks_;
  std::vector<Group> groups_;
  std::unique_ptr<PeerRanks> memory_;
  std::unique_ptr<SymmetricWindows> nccl_;
  std::unique_ptr<IpcRank> ipc_;
};

/// Every Hopper GPU of this machine.
std::vector<int> all_gpus();

}  // namespace railcast::kernels::layer
