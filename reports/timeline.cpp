#include "reports/timeline.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <tuple>

namespace railcast {
namespace {

bool has_layer(Kind k) { return k <= Kind::attn_w || k == Kind::collective; }

bool forward(Kind k) {
  switch (k) {
    case Kind::attn_f:
    case Kind::dispatch_f:
    case Kind::mlp_f:
    case Kind::combine_f:
    case Kind::embedding_f:
    case Kind::mtp_f:
    case Kind::head_f:
    case Kind::send_f:
      return true;
    default:
      return false;
  }
}

class Drawing {
 public:
  Drawing(const TrainStep& s, const Trace& t, std::size_t most_ranks) : s_(s), t_(t), shown_(s.ranks.size(), true) {
    if (s.ranks.size() <= most_ranks) return;
    std::set<std::int64_t> seen;
    for (std::size_t i = 0; i < s.ranks.size(); ++i) shown_[i] = seen.insert(s.ranks[i].pp_rank).second;
  }

  Timeline run() {
    for (OpId op = 0; op < s_.graph.ops.size(); ++op) place(op);
    order();
    split_tracks();
    point_arrows();
    return std::move(out_);
  }

 private:
  // A send stands on its sender's track only.
  std::span<const std::uint32_t> drawn_on(const Tag& tag) const {
    if (!tag.gang) return std::span(&tag.who, 1);
    const std::span<const std::uint32_t> members = s_.gangs[tag.who];
    return is_send(tag.kind) ? members.first(1) : members;
  }

  std::int32_t micro_batch(const Tag& tag, std::uint32_t rank) const {
    const auto& program = s_.program[static_cast<std::size_t>(s_.ranks[rank].pp_rank)];
    if (tag.instruction >= program.size()) return -1;
    const Instruction& in = program[tag.instruction];
    if (in.step != Step::overlapped) return in.micro_batch;
    if (tag.kind == Kind::collective) return -1;
    return forward(tag.kind) ? in.micro_batch : in.micro_batch_b;
  }

  // Until the tracks are known, `track` holds rank and lane.
  void place(OpId op) {
    const Tag tag = unpack(s_.graph.ops[op].tag);
    for (std::uint32_t rank : drawn_on(tag)) {
      if (!shown_[rank]) continue;
      const std::uint32_t line = rank * kLanes + static_cast<std::uint32_t>(lane_of(tag.kind));
      out_.slices.push_back({line, tag.kind, tag.layer, micro_batch(tag, rank), false, op, t_.start[op], t_.end[op]});
    }
  }

  void order() {
    std::ranges::sort(out_.slices, {}, [](const Slice& s) { return std::tuple(s.track, s.start, s.end, s.op); });
  }

  // Each slice goes to the first track of its lane that is free.
  void split_tracks() {
    std::vector<Time> free;  // by track of the current lane
    std::uint32_t line = ~0U, first = 0;
    for (Slice& s : out_.slices) {
      if (s.track != line) line = s.track, free.clear(), first = static_cast<std::uint32_t>(out_.tracks.size());
      const auto it = std::ranges::find_if(free, [&](Time f) { return f <= s.start; });
      const auto number = static_cast<std::uint32_t>(it - free.begin());
      if (it == free.end()) {
        free.push_back(s.end);
        out_.tracks.push_back({line / kLanes, static_cast<Lane>(line % kLanes), number});
      } else {
        *it = s.end;
      }
      s.track = first + number;
    }
    order();
  }

  // From a send to the first op of the receiver that waits for it.
  void point_arrows() {
    std::vector<std::pair<OpId, std::size_t>> sends;
    std::vector<std::tuple<OpId, std::uint32_t, std::size_t>> others;  // op, rank, slice
    for (std::size_t i = 0; i < out_.slices.size(); ++i) {
      const Slice& s = out_.slices[i];
      if (is_send(s.kind))
        sends.emplace_back(s.op, i);
      else
        others.emplace_back(s.op, out_.tracks[s.track].rank, i);
    }
    std::ranges::sort(others);
    for (const auto& [op, slice] : sends) {
      const std::uint32_t to = s_.gangs[unpack(s_.graph.ops[op].tag).who].back();
      for (OpId next : s_.graph.successors_of(op)) {
        const auto it = std::ranges::lower_bound(others, std::tuple(next, to, std::size_t{0}));
        if (it == others.end() || std::get<0>(*it) != next || std::get<1>(*it) != to) continue;
        out_.slices[slice].sends = true;
        out_.arrows.push_back({std::get<2>(*it), op});
        break;
      }
    }
    std::ranges::sort(out_.arrows, {}, [](const Arrow& a) { return std::tuple(a.slice, a.send); });
  }

  const TrainStep& s_;
  const Trace& t_;
  std::vector<bool> shown_;
  Timeline out_;
};

}  // namespace

const char* name(Lane l) {
  static constexpr const char* names[kLanes] = {"compute", "communication", "pipeline", "zero"};
  return names[static_cast<std::size_t>(l)];
}

Lane lane_of(Kind k) {
  if (is_send(k)) return Lane::pipeline;
  if (k == Kind::reduce_scatter || k == Kind::all_gather) return Lane::zero;
  return is_communication(k) && k != Kind::collective ? Lane::communication : Lane::compute;
}

const char* category(Kind k) {
  switch (lane_of(k)) {
    case Lane::communication:
      return "dispatch_combine";
    case Lane::pipeline:
      return "pipeline";
    case Lane::zero:
      return "zero";
    case Lane::compute:
      break;
  }
  if (k == Kind::collective) return "collective";
  if (k == Kind::optimizer) return "optimizer";
  if (k == Kind::mlp_w || k == Kind::attn_w || k == Kind::mtp_w || k == Kind::head_w) return "weight";
  return forward(k) ? "forward" : "backward";
}

Timeline timeline(const TrainStep& s, const Trace& t, std::size_t most_ranks) {
  return Drawing(s, t, most_ranks).run();
}

std::string slice_name(const Slice& s) {
  std::string text = name(s.kind);
  if (has_layer(s.kind)) text += " L" + std::to_string(s.layer);
  if (s.micro_batch >= 0) text += " mb " + std::to_string(s.micro_batch);
  return text;
}

std::string rank_name(const SimulatedRank& r) {
  std::string text = "rank " + std::to_string(r.rank) + " (pipeline rank " + std::to_string(r.pp_rank) + ")";
  if (r.count > 1) text += " x " + std::to_string(r.count);
  return text;
}

std::string track_name(const Track& t) {
  return t.number == 0 ? name(t.lane) : std::string(name(t.lane)) + " " + std::to_string(t.number + 1);
}

}  // namespace railcast
