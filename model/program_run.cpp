// Runs a Program by the list, without costs of ops: the check that it is valid, and the oracle of bubble formulas.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "model/rank_program.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kNever = -1;
const char* const kHalf[] = {"forward", "backward", "weight"};
enum Half { F, B, W };

/// When each half of each (stage, micro-batch) ended.
class Done {
 public:
  Done(std::int64_t stages, std::int64_t micro_batches)
      : stages_(stages), n_(micro_batches), end_(static_cast<std::size_t>(3 * stages * micro_batches), kNever) {}
  std::int64_t& at(Half h, std::int64_t stage, std::int64_t mb) {
    return end_[static_cast<std::size_t>((h * stages_ + stage) * n_ + mb)];
  }
  /// When the inputs of a half are there, or kNever.
  std::int64_t ready(Half h, std::int64_t stage, std::int64_t mb) {
    if (h == F) return stage == 0 ? 0 : at(F, stage - 1, mb);
    if (h == W) return at(B, stage, mb);
    const std::int64_t own = at(F, stage, mb), next = stage + 1 == stages_ ? own : at(B, stage + 1, mb);
    return std::min(own, next) == kNever ? kNever : std::max(own, next);
  }
  std::int64_t stages() const { return stages_; }
  std::int64_t micro_batches() const { return n_; }

 private:
  std::int64_t stages_, n_;
  std::vector<std::int64_t> end_;
};

struct Part {
  Half half;
  std::int64_t stage, micro_batch;
};

/// The halves that an instruction does, as one: it starts where all its inputs are there and ends for all.
std::vector<Part> parts(const std::vector<std::int64_t>& held, const Instruction& i) {
  const std::int64_t stage = held.at(static_cast<std::size_t>(i.chunk)), m = i.micro_batch;
  switch (i.step) {
    case Step::forward:
      return {{F, stage, m}};
    case Step::backward:
      return {{B, stage, m}, {W, stage, m}};
    case Step::backward_input:
      return {{B, stage, m}};
    case Step::weight:
      return {{W, stage, m}};
    case Step::overlapped: {
      const std::int64_t back = held.at(static_cast<std::size_t>(i.chunk_b)), mb = i.micro_batch_b;
      return {{F, stage, m}, {B, back, mb}, {W, back, mb}};
    }
  }
  return {};
}

std::string describe(const Part& p) {
  return std::string(kHalf[p.half]) + " of stage " + std::to_string(p.stage) + ", micro-batch " +
         std::to_string(p.micro_batch);
}

void claim(Done& seen, const Part& p, std::size_t rank) {
  const auto where = describe(p) + " on rank " + std::to_string(rank);
  require(p.micro_batch >= 0 && p.micro_batch < seen.micro_batches(),
          "schedule: " + where + ": no such micro-batch in this step");
  auto& mark = seen.at(p.half, p.stage, p.micro_batch);
  require(mark == kNever, "schedule: " + where + " comes a second time");
  mark = 0;
}

void check_complete(const Plan& p, const Program& program, std::int64_t n) {
  Done seen(stages(p), n);
  for (std::size_t r = 0; r < program.size(); ++r)
    for (const auto& i : program[r])
      for (const auto& part : parts(stages_of(p, static_cast<std::int64_t>(r)), i)) claim(seen, part, r);
  for (const Half h : {F, B, W})
    for (std::int64_t s = 0; s < seen.stages(); ++s)
      for (std::int64_t m = 0; m < n; ++m) require(seen.at(h, s, m) != kNever, "schedule: no " + describe({h, s, m}));
}

/// One rank's progress through its list.
struct Cursor {
  std::vector<std::int64_t> held;
  std::size_t next = 0;
  std::int64_t free = 0;
};

/// When an instruction's inputs are there, or kNever. Its own B feeds the W of a full backward.
std::int64_t ready(Done& done, const std::vector<Part>& parts) {
  std::int64_t at = 0;
  for (const auto& p : parts) {
    if (p.half == W && parts.size() > 1) continue;
    const auto t = done.ready(p.half, p.stage, p.micro_batch);
    if (t == kNever) return kNever;
    at = std::max(at, t);
  }
  return at;
}

/// Runs a rank as far as its inputs go; true where it moved.
bool advance(Done& done, Cursor& c, std::size_t r, const std::vector<Instruction>& list, const ChunkTimes& t,
             ProgramRun& run) {
  const auto from = c.next;
  for (; c.next < list.size(); ++c.next) {
    const auto work = parts(c.held, list[c.next]);
    const auto at = ready(done, work);
    if (at == kNever) break;
    const auto start = std::max(at, c.free), end = start + t.of(list[c.next].step);
    if (c.next == 0) run.start[r] = start;
    run.busy[r] += end - start;
    for (const auto& p : work) done.at(p.half, p.stage, p.micro_batch) = end;
    run.end[r] = c.free = end;
  }
  return c.next > from;
}

/// What each rank that cannot go on is waiting at.
std::string waiting(const std::vector<Cursor>& cursors, const Program& program) {
  std::string text;
  for (std::size_t r = 0; r < cursors.size(); ++r)
    if (cursors[r].next < program[r].size())
      text += (text.empty() ? "rank " : "; rank ") + std::to_string(r) + " at instruction " +
              std::to_string(cursors[r].next) + " (" +
              describe(parts(cursors[r].held, program[r][cursors[r].next])[0]) + ")";
  return text;
}

}  // namespace

ProgramRun run_program(const Plan& p, const Program& program, std::int64_t micro_batches, const ChunkTimes& t) {
  check_complete(p, program, micro_batches);
  const auto ranks = program.size();
  Done done(stages(p), micro_batches);
  ProgramRun run{0, std::vector<std::int64_t>(ranks), std::vector<std::int64_t>(ranks),
                 std::vector<std::int64_t>(ranks)};
  std::vector<Cursor> cursors;
  for (std::size_t r = 0; r < ranks; ++r) cursors.push_back({stages_of(p, static_cast<std::int64_t>(r))});
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t r = 0; r < ranks; ++r) moved |= advance(done, cursors[r], r, program[r], t, run);
  }
  const auto stuck = waiting(cursors, program);
  require(stuck.empty(), "schedule: the instruction lists wait on each other in a cycle: " + stuck);
  run.makespan = *std::ranges::max_element(run.end);
  return run;
}

}  // namespace railcast
