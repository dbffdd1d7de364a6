// Interleaved 1F1B (arXiv 2104.04473, Fig. 4 bottom): rank r holds the vp chunks r, r+pp, ... Micro-batches go in
// groups: a whole group through chunk 0, then through chunk 1, ...; backwards in the opposite order of chunks.
#include "model/rank_program.hpp"

namespace railcast {
namespace {

/// Chunk of the k-th forward of a rank, for k over all micro-batches and chunks.
std::vector<std::int32_t> chunk_order(std::int64_t vp, std::int64_t group, std::int64_t micro_batches) {
  std::vector<std::int32_t> order;
  for (std::int64_t k = 0; k < vp * micro_batches; ++k)
    order.push_back(static_cast<std::int32_t>(k % (vp * group) / group));
  return order;
}

}  // namespace

Program interleaved(std::int64_t pp, std::int64_t vp, std::int64_t group, std::int64_t micro_batches) {
  require(vp >= 2, "plan.vp: interleaved needs at least 2 chunks a rank; set vp to 2");
  require(group >= pp, "plan.micro_batch_group: " + std::to_string(group) + " is less than pp, " + std::to_string(pp) +
                           "; a group must fill the pipeline");
  require(micro_batches % group == 0, "plan.micro_batch_group: " + std::to_string(group) + " does not divide the " +
                                          std::to_string(micro_batches) + " micro-batches of a pipeline");
  const auto forward = chunk_order(vp, group, micro_batches);
  auto backward = forward;
  for (auto& c : backward) c = static_cast<std::int32_t>(vp) - 1 - c;
  Program program;
  for (std::int64_t r = 0; r < pp; ++r)
    program.push_back(one_forward_one_backward(2 * (pp - 1 - r) + (vp - 1) * group, forward, backward));
  return program;
}

}  // namespace railcast
