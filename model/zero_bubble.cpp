// Zero-bubble schedules (Qi et al., arXiv 2401.10241): B is split into backward_input and weight (W), and W, which
// nobody waits for, fills what would be a bubble.
#include <algorithm>

#include "model/rank_program.hpp"

namespace railcast {
namespace {

/// ZB-H1: 1F1B's order; rank r, which 1F1B lets hold r micro-batches fewer than rank 0, lets r weights wait instead.
std::vector<Instruction> zb1p_rank(std::int64_t pp, std::int64_t r, std::int64_t micro_batches) {
  const std::int64_t warm = std::min(pp - 1 - r, micro_batches);
  RankProgram rank({0});
  for (std::int64_t i = 0; i < warm; ++i) rank.forward(0);
  for (std::int64_t i = 0; i < micro_batches; ++i) {
    if (i + warm < micro_batches) rank.forward(0);
    rank.backward_input(0);
    rank.weights(static_cast<std::size_t>(r));
  }
  rank.weights(0);
  return std::move(rank).list();
}

void backward_with_weight(RankProgram& rank, std::int32_t chunk) {
  rank.backward_input(chunk);
  rank.weights(0);
}

/// ZBV (section 6 and Fig. 8): chunk 0 is stage r on the way down the V, chunk 1 stage 2pp-1-r on the way up, so the
/// last rank turns a micro-batch round and rank 0 sees its loss first.
std::vector<Instruction> zbv_rank(std::int64_t pp, std::int64_t r, std::int64_t micro_batches) {
  RankProgram rank({0, 0});
  // 1. Until the first micro-batch comes back up the V.
  std::int64_t down = 2 * (pp - r) - 1;
  for (std::int64_t i = 0; i < down; ++i) rank.forward(0);
  // 2. Forwards of both chunks until the first backward arrives: 2pp-1 chunks held on every rank.
  for (std::int64_t i = 0; i < r; ++i, ++down) {
    rank.forward(1);
    rank.forward(0);
  }
  // 3. The first backwards, of chunk 1.
  for (std::int64_t i = 0; i < pp - r; ++i) {
    rank.forward(1);
    backward_with_weight(rank, 1);
  }
  // 4. Main: forward, backward and weight of either chunk in turn, while forwards are left.
  for (std::int64_t up = pp; up < micro_batches; ++up) {
    if (down++ < micro_batches) rank.forward(0);
    backward_with_weight(rank, 0);
    rank.forward(1);
    backward_with_weight(rank, 1);
  }
  // 5. Backwards only, their weights kept for the end.
  for (std::int64_t i = 0; i < r; ++i) {
    rank.backward_input(0);
    rank.backward_input(1);
  }
  // 6. Chunk 0's last backwards as they arrive, a weight between any two.
  for (std::int64_t i = 0; i < pp - r; ++i) {
    rank.backward_input(0);
    rank.weight();
  }
  rank.weights(0);
  return std::move(rank).list();
}

}  // namespace

Program zb1p(std::int64_t pp, std::int64_t micro_batches) {
  Program program;
  for (std::int64_t r = 0; r < pp; ++r) program.push_back(zb1p_rank(pp, r, micro_batches));
  return program;
}

Program zbv(std::int64_t pp, std::int64_t micro_batches) {
  require(micro_batches >= 2 * pp - 1, "plan.schedule: zbv on pp " + std::to_string(pp) + " needs at least " +
                                           std::to_string(2 * pp - 1) + " micro-batches a pipeline, there are " +
                                           std::to_string(micro_batches));
  Program program;
  for (std::int64_t r = 0; r < pp; ++r) program.push_back(zbv_rank(pp, r, micro_batches));
  return program;
}

}  // namespace railcast
