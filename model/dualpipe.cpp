// DualPipe (arXiv 2412.19437, 3.2.1 and Fig. 5) and DualPipeV, its lower half folded into a V ("cut in half").
// Both are the same eight paragraphs: a rank serves two flows, 0 which enters at the rank's own end of the pipeline and
// 1 which comes from the other end. `half` ranks lie between an end and the middle; the rank is number r of them.
#include "model/rank_program.hpp"

namespace railcast {
namespace {

/// What a rank calls flows 0 and 1 are its chunks `own` and `other`, each of `n` micro-batches.
struct Flows {
  std::int64_t half = 0, r = 0, n = 0;
  std::int32_t own = 0, other = 1;
};

/// nF0, nF0F1, nB1W1F1: fill the pipeline from both ends.
void fill(RankProgram& rank, const Flows& f) {
  const std::int64_t to_middle = f.half - 1 - f.r;
  // nF0
  for (std::int64_t i = 0; i < 2 * to_middle; ++i) rank.forward(f.own);
  // nF0F1
  for (std::int64_t i = 0; i < f.r + 1; ++i) {
    rank.forward(f.own);
    rank.forward(f.other);
  }
  // nB1W1F1: the weight is split off, so that the input's gradient leaves at once.
  for (std::int64_t i = 0; i < to_middle; ++i) {
    rank.backward_input(f.other);
    rank.weight();
    rank.forward(f.other);
  }
}

/// nF0B1F1B0, nB1F1B0: overlapped pairs, first of both flows, then while flow 1 has forwards left.
void pairs(RankProgram& rank, const Flows& f) {
  // nF0B1F1B0: the middle ranks begin with the pair apart, as the gradient they wait for left their neighbour just now.
  for (std::int64_t i = 0; i < f.n - 2 * f.half + f.r + 1; ++i) {
    if (i == 0 && f.r == f.half - 1) {
      rank.forward(f.own);
      rank.backward(f.other);
    } else {
      rank.overlapped(f.own, f.other);
    }
    rank.overlapped(f.other, f.own);
  }
  // nB1F1B0
  for (std::int64_t i = 0; i < f.half - 1 - f.r; ++i) {
    rank.backward(f.other);
    rank.overlapped(f.other, f.own);
  }
}

/// nB1B0, nWB0, nW: drain, with the weights kept back to fill the bubble.
void drain(RankProgram& rank, const Flows& f) {
  // nB1B0: the second half of these backwards leaves its weights for later.
  for (std::int64_t i = 0; i < 2 * (f.r + 1); ++i) {
    const std::int32_t chunk = i % 2 == 0 ? f.other : f.own;
    if (i < f.r + 1)
      rank.backward(chunk);
    else
      rank.backward_input(chunk);
  }
  // nWB0
  for (std::int64_t i = 0; i < f.half - 1 - f.r; ++i) {
    rank.weight();
    rank.backward_input(f.own);
  }
  // nW
  rank.weights(0);
}

std::vector<Instruction> paragraphs(const Flows& f, const std::vector<std::int32_t>& first_micro_batch) {
  RankProgram rank(first_micro_batch);
  fill(rank, f);
  pairs(rank, f);
  drain(rank, f);
  return std::move(rank).list();
}

void require_micro_batches(const char* schedule, std::int64_t pp, std::int64_t micro_batches) {
  require(micro_batches >= 2 * pp, std::string("plan.schedule: ") + schedule + " on pp " + std::to_string(pp) +
                                       " needs at least " + std::to_string(2 * pp) +
                                       " micro-batches a pipeline, there are " + std::to_string(micro_batches));
}

}  // namespace

/// Micro-batches 0 .. n/2-1 enter at rank 0 (chunk 0), n/2 .. n-1 at rank pp-1 (chunk 1).
Program dualpipe(std::int64_t pp, std::int64_t micro_batches) {
  require(pp % 2 == 0, "plan.pp: dualpipe needs an even pp, not " + std::to_string(pp));
  require(micro_batches % 2 == 0,
          "plan.schedule: dualpipe takes half of the micro-batches from each end; " + std::to_string(micro_batches) +
              " a pipeline is odd; change workload.train.global_batch, plan.micro_batch or plan.dp");
  require_micro_batches("dualpipe", pp, micro_batches);
  Program program;
  for (std::int64_t r = 0; r < pp; ++r) {
    const bool first_half = r < pp / 2;
    Flows f{pp / 2, first_half ? r : pp - 1 - r, micro_batches / 2, first_half ? 0 : 1, first_half ? 1 : 0};
    program.push_back(paragraphs(f, {0, static_cast<std::int32_t>(micro_batches / 2)}));
  }
  return program;
}

/// Rank r holds stage r (chunk 0, the way down) and 2pp-1-r (chunk 1, the way back): both flows are the same
/// micro-batches, and all of them enter at rank 0.
Program dualpipe_v(std::int64_t pp, std::int64_t micro_batches) {
  require_micro_batches("dualpipe_v", pp, micro_batches);
  Program program;
  for (std::int64_t r = 0; r < pp; ++r) program.push_back(paragraphs({pp, r, micro_batches, 0, 1}, {0, 0}));
  return program;
}

}  // namespace railcast
