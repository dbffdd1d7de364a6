// This program in several processes that run the same suite in step: what they tell each other. (CUDA IPC's handles and
// the outcomes of checks; a socket to the first process is all they share.)
#pragma once
#include <string>
#include <vector>

namespace railcast::kernels {

class Processes {
 public:
  /// In the first process: starts count - 1 more of this program with these arguments, silent but for stderr. In one of
  /// those: joins the others, with the same arguments.
  Processes(int count, const std::vector<std::string>& arguments);
  ~Processes();
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;

  int rank() const { return rank_; }
  int count() const { return count_; }

  /// What each process gives, by rank, once all have come to the same point. Throws KernelError (Fault::launch) where
  /// one is at another point or has ended; no process gets further then.
  std::vector<std::string> gather(const std::string& point, const std::string& mine);
  void meet(const std::string& point) { gather(point, ""); }
  /// As meet, where nothing can be thrown; false: not all came.
  bool met(const std::string& point) noexcept;

 private:
  void start(const std::vector<std::string>& arguments);
  std::string from(int rank, const std::string& point);
  void hang_up();

  int rank_ = 0, count_ = 1;
  std::vector<int> socket_;  ///< to each other process in the first one, to the first in the others; -1: none
  std::vector<int> child_;   ///< process ids
};

}  // namespace railcast::kernels
