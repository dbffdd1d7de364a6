// 1F1B (PipeDream-Flush; Narayanan et al., arXiv 2104.04473, Fig. 4 top): pp-1-r forwards, then one forward and one
// backward in turn, so that rank r holds at most pp-r micro-batches.
#include <algorithm>

#include "model/rank_program.hpp"

namespace railcast {

std::vector<Instruction> one_forward_one_backward(std::int64_t warm_up, const std::vector<std::int32_t>& forward_chunks,
                                                  const std::vector<std::int32_t>& backward_chunks) {
  const auto total = forward_chunks.size(), warm = std::min(static_cast<std::size_t>(warm_up), total);
  RankProgram rank(std::vector<std::int32_t>(1 + std::size_t(*std::ranges::max_element(forward_chunks)), 0));
  for (std::size_t k = 0; k < warm; ++k) rank.forward(forward_chunks[k]);
  for (std::size_t k = warm; k < total; ++k) {
    rank.forward(forward_chunks[k]);
    rank.backward(backward_chunks[k - warm]);
  }
  for (std::size_t k = total - warm; k < total; ++k) rank.backward(backward_chunks[k]);
  return std::move(rank).list();
}

Program one_f_one_b(std::int64_t pp, std::int64_t micro_batches) {
  const std::vector<std::int32_t> chunks(static_cast<std::size_t>(micro_batches), 0);
  Program program;
  for (std::int64_t r = 0; r < pp; ++r) program.push_back(one_forward_one_backward(pp - 1 - r, chunks, chunks));
  return program;
}

}  // namespace railcast
