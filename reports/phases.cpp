#include "reports/phases.hpp"

#include <algorithm>
#include <tuple>

namespace railcast {
namespace {

struct Span {
  Time first = Time::max(), last;
  bool used() const { return first < Time::max(); }
  void add(Time start, Time end) { first = std::min(first, start), last = std::max(last, end); }
};

/// One rank's time in an op of the optimizer's phase.
struct Late {
  std::uint32_t rank;
  Time start, end;
  bool compute;
};

class Reader {
 public:
  Reader(const TrainStep& s, const Trace& t) : s_(s), t_(t), begin_{0} {
    for (const SimulatedRank& r : s.ranks) begin_.push_back(begin_.back() + program(r).size());
    spans_.resize(begin_.back());
    compute_.resize(s.ranks.size());
    done_.resize(s.ranks.size());
  }

  const std::vector<Instruction>& program(const SimulatedRank& r) const {
    return s_.program[static_cast<std::size_t>(r.pp_rank)];
  }
  const Span& span(std::size_t rank, std::size_t instruction) const { return spans_[begin_[rank] + instruction]; }
  Time compute(std::size_t rank) const { return compute_[rank]; }  ///< busy within the spans

  void read_spans() {
    each_op([&](OpId op, const Tag& tag, std::uint32_t rank, bool late) {
      if (late) return;
      spans_[begin_[rank] + tag.instruction].add(t_.start[op], t_.end[op]);
      done_[rank] = std::max(done_[rank], t_.end[op]);
      if (!is_communication(tag.kind)) compute_[rank] += t_.end[op] - t_.start[op];
    });
  }

  /// The optimizer's ops after the rank's last span, or with `zero3` its traffic from the start, by rank and start.
  std::vector<Late> late_ops(bool zero3) const {
    std::vector<Late> ops;
    each_op([&](OpId op, const Tag& tag, std::uint32_t rank, bool late) {
      const Time from = zero3 && is_communication(tag.kind) ? Time() : done_[rank];
      if (late && t_.end[op] > from)
        ops.push_back({rank, std::max(t_.start[op], from), t_.end[op], !is_communication(tag.kind)});
    });
    std::ranges::sort(ops, {}, [](const Late& l) { return std::tuple(l.rank, l.start, l.end); });
    return ops;
  }

 private:
  // Calls visit(op, tag, rank, late) for each rank of each op but sends. A gang counts for each member; its instruction
  // is the first member's, so an op past the end of that program is past the end for all.
  template <class Visit>
  void each_op(const Visit& visit) const {
    for (OpId op = 0; op < s_.graph.ops.size(); ++op) {
      const Tag tag = unpack(s_.graph.ops[op].tag);
      if (is_send(tag.kind)) continue;
      const std::span<const std::uint32_t> who =
          tag.gang ? std::span<const std::uint32_t>(s_.gangs[tag.who]) : std::span(&tag.who, 1);
      const bool late = tag.instruction >= program(s_.ranks[who.front()]).size();
      for (std::uint32_t rank : who) visit(op, tag, rank, late);
    }
  }

  const TrainStep& s_;
  const Trace& t_;
  std::vector<std::size_t> begin_;  ///< by rank: its first span
  std::vector<Span> spans_;
  std::vector<Time> compute_, done_;
};

/// Sums over the cluster's ranks, in seconds.
struct Sums {
  double ranks = 0, exposed = 0, pairs = 0, pair_time = 0;
  Phases phases;
};

double& phase_of(Phases& p, Step s) {
  switch (s) {
    case Step::forward:
      return p.forward_s;
    case Step::backward:
    case Step::backward_input:
      return p.backward_s;
    case Step::weight:
      return p.weight_s;
    case Step::overlapped:
      return p.overlapped_s;
  }
  return p.bubble_s;
}

void add_spans(Sums& sums, const Reader& reader, const SimulatedRank& rank, std::size_t index) {
  const auto& program = reader.program(rank);
  const auto weight = static_cast<double>(rank.count);
  Time cursor, busy;
  for (std::size_t i = 0; i < program.size(); ++i) {
    const Span& span = reader.span(index, i);
    if (!span.used() || span.last <= cursor) continue;
    const Time took = span.last - std::max(span.first, cursor);
    phase_of(sums.phases, program[i].step) += weight * took.seconds();
    busy += took;
    cursor = span.last;
  }
  sums.exposed += weight * (busy - reader.compute(index)).seconds();
  sums.ranks += weight;
}

/// Time from `from` to `to` outside of the rank's spans; `next` is the first span that may end after `from`.
Time outside(const Reader& reader, std::size_t rank, std::size_t spans, std::size_t& next, Time from, Time to) {
  Time left;
  while (from < to) {
    while (next < spans && reader.span(rank, next).last <= from) ++next;
    const Time begins = next < spans ? reader.span(rank, next).first : to;
    left += std::clamp(begins, from, to) - from;
    from = next < spans ? std::max(reader.span(rank, next).last, from) : to;
    if (begins >= to) break;
  }
  return left;
}

void add_optimizer(Sums& sums, const Reader& reader, const std::vector<SimulatedRank>& ranks, bool zero3) {
  Time cursor;
  std::uint32_t rank = ~0U;
  std::size_t next = 0;
  for (const Late& op : reader.late_ops(zero3)) {
    if (op.rank != rank) rank = op.rank, cursor = Time(), next = 0;
    const auto weight = static_cast<double>(ranks[rank].count);
    const std::size_t spans = reader.program(ranks[rank]).size();
    const Time took = outside(reader, rank, spans, next, std::max(op.start, cursor), op.end);
    sums.phases.optimizer_s += weight * took.seconds();
    sums.exposed += weight * (took - (op.compute ? op.end - op.start : Time())).seconds();
    cursor = std::max(cursor, op.end);
  }
}

/// Layers of a stage, or 0 where it holds anything but MoE layers.
std::int64_t moe_layers(const StageLayers& l, const Transformer& model) {
  if (l.embedding || l.head) return 0;
  for (std::int64_t i = 0; i < l.count; ++i)
    if (!model.moe(l.first + i)) return 0;
  return l.count;
}

void add_pairs(Sums& sums, const Reader& reader, const TrainStep& s, std::size_t index, const Transformer& model,
               const Plan& plan) {
  const SimulatedRank& rank = s.ranks[index];
  const std::vector<std::int64_t> held = stages_of(plan, rank.pp_rank);
  const auto layers = [&](std::int32_t chunk) {
    return moe_layers(s.stages[static_cast<std::size_t>(held[static_cast<std::size_t>(chunk)])], model);
  };
  const auto& program = reader.program(rank);
  for (std::size_t i = 0; i < program.size(); ++i) {
    if (program[i].step != Step::overlapped || !reader.span(index, i).used()) continue;
    const std::int64_t f = layers(program[i].chunk), b = layers(program[i].chunk_b);
    if (f == 0 || b == 0) continue;
    const Time span = reader.span(index, i).last - reader.span(index, i).first;
    sums.pair_time += static_cast<double>(rank.count) * span.seconds() / (static_cast<double>(f + b) / 2);
    sums.pairs += static_cast<double>(rank.count);
  }
}

}  // namespace

StepTimes step_times(const TrainStep& s, const Trace& t, const Transformer& model, const Plan& plan) {
  Reader reader(s, t);
  reader.read_spans();
  Sums sums;
  for (std::size_t i = 0; i < s.ranks.size(); ++i) {
    add_spans(sums, reader, s.ranks[i], i);
    add_pairs(sums, reader, s, i, model, plan);
  }
  add_optimizer(sums, reader, s.ranks, plan.zero >= 3);
  StepTimes times;
  if (sums.ranks == 0) return times;
  Phases& p = times.phases = sums.phases;
  for (double* phase : {&p.forward_s, &p.backward_s, &p.weight_s, &p.overlapped_s, &p.optimizer_s})
    *phase /= sums.ranks;
  p.bubble_s = t.makespan.seconds() - p.forward_s - p.backward_s - p.weight_s - p.overlapped_s - p.optimizer_s;
  times.exposed_comm_s = sums.exposed / sums.ranks;
  if (sums.pairs > 0) times.layer_pair_s = sums.pair_time / sums.pairs;
  return times;
}

}  // namespace railcast
