// Writes one pipeline rank's instruction list. The micro-batches of a chunk are taken in order, so a schedule says only
// what comes next on which chunk, as the papers' figures do.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "model/schedule.hpp"

namespace railcast {

class RankProgram {
 public:
  /// first[c]: the id of the first micro-batch that chunk c serves.
  explicit RankProgram(const std::vector<std::int32_t>& first) : next_f_(first), next_b_(first) {}

  void forward(std::int32_t chunk) { list_.push_back({Step::forward, chunk, next(next_f_, chunk)}); }
  void backward(std::int32_t chunk) { list_.push_back({Step::backward, chunk, next(next_b_, chunk)}); }
  /// B without W; its W waits in line.
  void backward_input(std::int32_t chunk) {
    list_.push_back({Step::backward_input, chunk, next(next_b_, chunk)});
    waiting_.push_back({Step::weight, chunk, list_.back().micro_batch});
  }
  /// The oldest W in line.
  void weight() {
    list_.push_back(waiting_.front());
    waiting_.pop_front();
  }
  void weights(std::size_t keep) {
    while (waiting_.size() > keep) weight();
  }
  /// F of one chunk beside the full B of another.
  void overlapped(std::int32_t f, std::int32_t b) {
    const std::int32_t mf = next(next_f_, f), mb = next(next_b_, b);
    list_.push_back({Step::overlapped, f, mf, b, mb});
  }
  std::vector<Instruction> list() && { return std::move(list_); }

 private:
  static std::int32_t next(std::vector<std::int32_t>& of, std::int32_t chunk) {
    return of[static_cast<std::size_t>(chunk)]++;
  }
  std::vector<Instruction> list_;
  std::deque<Instruction> waiting_;
  std::vector<std::int32_t> next_f_, next_b_;
};

/// `warm_up` forwards, then one forward and one backward in turn, then the backwards left. The arguments give the
/// chunk of the k-th forward and of the k-th backward.
std::vector<Instruction> one_forward_one_backward(std::int64_t warm_up, const std::vector<std::int32_t>& forward_chunks,
                                                  const std::vector<std::int32_t>& backward_chunks);

/// Throws std::invalid_argument with `key` and `what` where `ok` is false.
void require(bool ok, const std::string& what);

}  // namespace railcast
