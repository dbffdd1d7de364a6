#include "model/train.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "model/chunk.hpp"
#include "model/layout.hpp"
#include "model/ranks.hpp"
#include "model/stretch.hpp"
#include "model/weights.hpp"

namespace railcast {
namespace {

constexpr OpId kNone = ~OpId{0};
enum Half { F, B };

/// The last op of each lane of a simulated rank.
struct RankLanes {
  OpId compute = kNone;      ///< last op of the compute lane
  OpId comm = kNone;         ///< last op of the communication lane, sends included
  OpId exchanged = kNone;    ///< last op of the communication lane other than a send
  OpId zero = kNone;         ///< last ZeRO collective
  OpId gathered = kNone;     ///< ZeRO 3: the weights of the next instruction
  OpId before_last = kNone;  ///< what ended before the last instruction began
};

class Lowering {
 public:
  Lowering(const Scenario& s, bool folded)
      : s_(s),
        layout_(s),
        stretch_(s, layout_),
        folding_(fold(layout_, folded, !s.train.expert_loads.empty(), stretch_.classes())),
        ranks_(layout_, folding_, graph_, out_.gangs, out_.gang_groups),
        stages_(split_layers(s.model, s.plan, s.train.sequence)),
        maker_(s, stages_, graph_, out_.segments) {
    out_.stages = stages_;
    out_.program = make_program(s.plan, micro_batches(s.plan, s.gpus(), s.train.global_batch));
    micro_batches_ = static_cast<std::size_t>(micro_batches(s.plan, s.gpus(), s.train.global_batch));
    for (auto& half : sent_) half.resize(stages_.size() * micro_batches_);
    for (std::size_t i = 0; i < folding_.rank.size(); ++i)
      out_.ranks.push_back({folding_.rank[i], layout_.pp_rank(folding_.rank[i]), folding_.count[i]});
    lanes_.resize(out_.ranks.size()), done_.resize(out_.ranks.size());
    find_holders();
    make_send_costs();
  }

  TrainStep run() {
    for (std::int64_t r = 0; r < layout_.pp; ++r)
      for (std::uint32_t k = 0; k < out_.program[at(r)].size(); ++k) place(r, k, out_.program[at(r)][k]);
    link_received();
    if (s_.plan.zero < 2) reduce_gradients();
    optimize();
    out_.graph = std::move(graph_).build();
    stretch_.apply(out_);
    return std::move(out_);
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::uint32_t begin(std::int64_t r) const { return ranks_.begin(r); }
  std::uint32_t end(std::int64_t r) const { return ranks_.end(r); }

  // Which pipeline rank holds a stage, by chunk: DualPipe holds it once per direction.
  void find_holders() {
    holder_.resize(stages_.size());
    for (std::int64_t r = 0; r < layout_.pp; ++r) {
      const auto held = stages_of(s_.plan, r);
      for (std::size_t chunk = 0; chunk < held.size(); ++chunk) {
        auto& h = holder_[at(held[chunk])];
        h[layout_.paired ? chunk : 0] = r;
        if (!layout_.paired) h[1] = r;
      }
    }
  }
  std::int64_t holder(std::int64_t stage, std::int32_t chunk) const {
    return holder_[at(stage)][layout_.paired && chunk == 1];
  }

  void make_send_costs() {
    const auto bytes = static_cast<std::int64_t>(boundary_bytes(s_.model, s_.plan, s_.train.sequence));
    for (bool near : {false, true})
      send_cost_[near] = maker_.single(Kind::send_f, {{"send", SendRecv{bytes, near}}}, Group::column).first;
  }

  // ---- ops ----

  OpId emit(CostId cost, UsesId uses, const Tag& tag) {
    const OpId op = graph_.op(cost, uses, pack(tag));
    std::ranges::sort(before_);
    const auto repeats = std::ranges::unique(before_);
    for (auto it = before_.begin(); it != repeats.begin(); ++it)
      if (*it != kNone) graph_.link(*it, op);
    before_.clear();
    return op;
  }

  const Chunk& chunk(const Instruction& in, std::int64_t r) {
    const auto held = stages_of(s_.plan, r);
    const std::int64_t stage = held[at(in.chunk)];
    const std::int64_t stage_b = in.chunk_b >= 0 ? held[at(in.chunk_b)] : -1;
    const auto [it, fresh] = chunks_.try_emplace({in.step, stage, stage_b});
    if (!fresh) return it->second;
    switch (in.step) {
      case Step::forward:
        return it->second = maker_.forward(stage);
      case Step::backward:
        return it->second = maker_.backward(stage, true, true);
      case Step::backward_input:
        return it->second = maker_.backward(stage, true, false);
      case Step::weight:
        return it->second = maker_.backward(stage, false, true);
      case Step::overlapped:
        return it->second = maker_.overlapped(stage, stage_b);
    }
    return it->second;
  }

  /// One half of an instruction: which stage and micro-batch it works on.
  struct Work1 {
    std::int64_t stage = -1;
    std::int32_t chunk = 0, micro_batch = 0;
  };
  std::array<Work1, 2> halves(const Instruction& in, std::int64_t r) const {
    const auto held = stages_of(s_.plan, r);
    std::array<Work1, 2> h;
    const bool forward = in.step == Step::forward || in.step == Step::overlapped;
    h[forward ? F : B] = {held[at(in.chunk)], in.chunk, in.micro_batch};
    if (in.step == Step::overlapped) h[B] = {held[at(in.chunk_b)], in.chunk_b, in.micro_batch_b};
    return h;
  }

  void place(std::int64_t r, std::uint32_t k, const Instruction& in) {
    const Chunk& c = chunk(in, r);
    const auto h = halves(in, r);
    gather_weights(r, k, h);
    entry_.clear();
    for (std::uint32_t i = begin(r); i < end(r); ++i) {
      entry_.push_back({lanes_[i].compute, lanes_[i].exchanged, lanes_[i].gathered});
      lanes_[i].gathered = kNone;
    }
    place_nodes(r, k, c, h);
    for (std::uint32_t i = begin(r); i < end(r); ++i) lanes_[i].before_last = entry_[i - begin(r)][0];
    for (Half half : {F, B})
      if (h[half].stage >= 0) pass_on(r, k, half, h[half], half == F ? c.last_f : c.last_b);
    if (in.step == Step::forward || in.step == Step::backward_input) return;
    for (std::uint32_t i = begin(r); i < end(r); ++i) done_[i][h[B].stage] = {lanes_[i].compute, lanes_[i].exchanged};
    if (s_.plan.zero >= 2) reduce_stage(h[B].stage, r);
  }

  void place_nodes(std::int64_t r, std::uint32_t k, const Chunk& c, const std::array<Work1, 2>& h) {
    const std::uint32_t first = begin(r), count = end(r) - begin(r);
    made_.assign(c.nodes.size() * count, kNone);
    std::array<bool, 2> lane_begun{};
    for (std::size_t pos = 0; pos < c.nodes.size(); ++pos) {
      const Node& n = c.nodes[pos];
      const bool first_on_lane = !std::exchange(lane_begun[n.comm_lane], true);
      const auto needs = [&](std::uint32_t i) {
        before_.push_back(n.comm_lane ? lanes_[i].comm : lanes_[i].compute);
        if (first_on_lane) before_.insert(before_.end(), entry_[i - first].begin(), entry_[i - first].end());
        if (n.after >= 0) before_.push_back(made_[at(n.after) * count + i - first]);
      };
      const auto made = [&](std::uint32_t i, OpId op) {
        made_[pos * count + i - first] = op;
        (n.comm_lane ? lanes_[i].comm : lanes_[i].compute) = op;
        if (n.comm_lane) lanes_[i].exchanged = op;
        for (Half half : {F, B})
          if (static_cast<std::int32_t>(pos) == (half == F ? c.first_f : c.first_b))
            if (h[half].stage >= 0) received_.push_back({op, i, half, h[half]});
      };
      Tag tag{0, k, static_cast<std::uint32_t>(n.layer), n.kind, n.group != Group::none};
      for_each_actor(n.group, r, [&](std::uint32_t who, UsesId uses, std::span<const std::uint32_t> members) {
        tag.who = who;
        for (std::uint32_t m : members) needs(m);
        const std::int64_t position = n.by_position ? layout_.ep_position(folding_.rank[members.front()]) : 0;
        const OpId op = emit(n.cost + static_cast<CostId>(position), uses, tag);
        for (std::uint32_t m : members) made(m, op);
      });
    }
  }

  template <class Visit>
  void for_each_actor(Group group, std::int64_t r, const Visit& visit) {
    if (group == Group::none) {
      for (std::uint32_t i = begin(r); i < end(r); ++i) visit(i, ranks_.compute_uses(i), std::span(&i, 1));
    } else {
      for (const Gang& g : ranks_.gangs(group, r)) visit(g.index, g.uses, std::span(out_.gangs[g.index]));
    }
  }

  // A half's output goes to the next stage: over a port, or, on the same rank, at once.
  void pass_on(std::int64_t r, std::uint32_t k, Half half, const Work1& w, std::int32_t last) {
    const std::int64_t next = half == F ? w.stage + 1 : w.stage - 1;
    if (last < 0 || next < 0 || next == std::int64_t(stages_.size())) return;
    const std::int64_t to = holder(next, w.chunk);
    const std::uint32_t count = end(r) - begin(r);
    auto& sent = sent_[half][at(w.stage) * micro_batches_ + at(w.micro_batch)];
    for (std::uint32_t i = begin(r); i < end(r); ++i) {
      const OpId output = made_[at(last) * count + i - begin(r)];
      sent.push_back(to == r ? output : send(i, to, k, half, output));
    }
  }

  OpId send(std::uint32_t from, std::int64_t to, std::uint32_t k, Half half, OpId output) {
    const std::int64_t rank = folding_.rank[from];
    const std::int64_t partner = to * layout_.stage_ranks() + rank % layout_.stage_ranks();
    const Gang g = ranks_.send(from, folding_.stands_for[at(partner)]);
    before_.insert(before_.end(), {output, lanes_[from].comm});
    const Tag tag{g.index, k, 0, half == F ? Kind::send_f : Kind::send_b, true};
    return lanes_[from].comm = emit(send_cost_[layout_.same_node(rank, partner)], g.uses, tag);
  }

  void link_received() {
    for (const Received& x : received_) {
      const std::int64_t from = x.half == F ? x.work.stage - 1 : x.work.stage + 1;
      if (from < 0 || from == std::int64_t(stages_.size())) continue;
      const std::int64_t r = holder(from, x.work.chunk);
      const std::int64_t sender = r * layout_.stage_ranks() + folding_.rank[x.rank] % layout_.stage_ranks();
      const auto& sent = sent_[x.half][at(from) * micro_batches_ + at(x.work.micro_batch)];
      graph_.link(sent.at(folding_.stands_for[at(sender)] - begin(r)), x.op);
    }
  }

  // ---- ZeRO and the optimizer ----

  std::uint32_t past_end(std::int64_t r) const { return static_cast<std::uint32_t>(out_.program[at(r)].size()); }
  Weights stage_weights(std::int64_t stage) const { return weights_of(s_, {stages_[at(stage)]}); }

  // One collective per kind of weight over its data-parallel group; `needs` gives what each member waits for.
  template <class Needs, class Made>
  void share_weights(Kind kind, std::int64_t stage, std::int64_t r, const Needs& needs, const Made& made) {
    const Weights w = stage_weights(stage);
    for (Group group : {Group::dense, Group::expert}) {
      const double elements = group == Group::dense ? w.dense + w.exact : w.experts;
      if (elements == 0 || layout_.size(group) == 1) continue;
      const CostId cost = weight_cost(kind, stage, group, elements);
      for (const Gang& g : ranks_.gangs(group, r)) {
        for (std::uint32_t m : out_.gangs[g.index]) before_.push_back(lanes_[m].zero), needs(m);
        const OpId op = emit(cost, g.uses, {g.index, past_end(r), 0, kind, true});
        for (std::uint32_t m : out_.gangs[g.index]) lanes_[m].zero = op, made(m, op);
      }
    }
  }

  // Gradients travel in FP32 (as they are accumulated, arXiv 2412.19437, 3.3.2), weights in the plan's precision.
  CostId weight_cost(Kind kind, std::int64_t stage, Group group, double elements) {
    const auto [it, fresh] = weight_costs_.try_emplace({kind, stage, group});
    if (!fresh) return it->second;
    const bool fp8 = s_.plan.precision == Dtype::fp8_block || s_.plan.precision == Dtype::fp8_tensor;
    const std::int64_t n = layout_.size(group), near = std::min(n, layout_.per_node(group));
    const auto bytes = static_cast<std::int64_t>(elements * (kind == Kind::reduce_scatter ? 4 : fp8 ? 1 : 2));
    Shape shape = AllGather{bytes, n, near};
    if (kind == Kind::reduce_scatter) shape = ReduceScatter{bytes, n, near};
    if (kind == Kind::reduce_scatter && s_.plan.zero == 0) shape = AllReduce{bytes, n, near};
    return it->second = maker_.single(kind, {{"weights", shape}}, group).first;
  }

  void reduce_stage(std::int64_t stage, std::int64_t r) {
    const auto needs = [&](std::uint32_t m) {
      const auto& d = done_[m][stage];
      before_.insert(before_.end(), d.begin(), d.end());
    };
    share_weights(Kind::reduce_scatter, stage, r, needs, [](std::uint32_t, OpId) {});
  }

  // Stages in the order in which the first of their holders is done with them.
  void reduce_gradients() {
    for (std::int64_t stage = std::int64_t(stages_.size()) - 1; stage >= 0; --stage)
      reduce_stage(stage, holder(stage, 0));
  }

  // ZeRO 3: gathered one instruction ahead.
  void gather_weights(std::int64_t r, std::uint32_t, const std::array<Work1, 2>& h) {
    if (s_.plan.zero < 3) return;
    for (const Work1& w : h)
      if (w.stage >= 0)
        share_weights(
            Kind::all_gather, w.stage, r, [&](std::uint32_t m) { before_.push_back(lanes_[m].before_last); },
            [&](std::uint32_t m, OpId op) { lanes_[m].gathered = op; });
  }

  // Clipping by the global norm makes every rank wait for all; then each updates its shard and gathers the rest.
  void optimize() {
    const auto norm = maker_.single(
        Kind::collective, {{"norm", AllReduce{4, layout_.ranks(), layout_.per_node(Group::world)}}}, Group::world);
    const Gang all = ranks_.gangs(Group::world, 0).front();
    for (const RankLanes& l : lanes_) before_.insert(before_.end(), {l.compute, l.comm, l.zero});
    const OpId clipped = emit(norm.first, all.uses, {all.index, past_end(0), 0, Kind::collective, true});
    for (std::int64_t r = 0; r < layout_.pp; ++r) {
      const auto update = maker_.single(Kind::optimizer, {{"adamw", AdamW{shard(r)}}}, Group::none);
      for (std::uint32_t i = begin(r); i < end(r); ++i) {
        before_.push_back(clipped);
        lanes_[i].compute = emit(update.first, ranks_.compute_uses(i), {i, past_end(r), 0, Kind::optimizer, false});
        lanes_[i].zero = kNone;
      }
    }
    if (s_.plan.zero != 1 && s_.plan.zero != 2) return;
    const auto needs = [&](std::uint32_t m) { before_.push_back(lanes_[m].compute); };
    for (std::int64_t stage = 0; stage < std::int64_t(stages_.size()); ++stage)
      share_weights(Kind::all_gather, stage, holder(stage, 0), needs, [](std::uint32_t, OpId) {});
  }

  std::int64_t shard(std::int64_t r) const {
    std::vector<StageLayers> held;
    for (std::int64_t stage : stages_of(s_.plan, r)) held.push_back(stages_[at(stage)]);
    const Weights w = weights_of(s_, held);
    const Sharing over = s_.plan.zero > 0 ? sharing(s_) : Sharing{};
    return static_cast<std::int64_t>((w.dense + w.exact) / over.dense + w.experts / over.experts);
  }

  struct Received {
    OpId op;
    std::uint32_t rank;
    Half half;
    Work1 work;
  };

  const Scenario& s_;
  Layout layout_;
  Stretch stretch_;
  Folding folding_;
  TrainStep out_;
  GraphBuilder graph_;
  Ranks ranks_;
  std::vector<StageLayers> stages_;
  ChunkMaker maker_;
  std::size_t micro_batches_ = 0;
  std::vector<RankLanes> lanes_;  ///< by simulated rank
  std::vector<std::array<std::int64_t, 2>> holder_;
  std::array<CostId, 2> send_cost_{};
  std::map<std::tuple<Step, std::int64_t, std::int64_t>, Chunk> chunks_;
  std::map<std::tuple<Kind, std::int64_t, Group>, CostId> weight_costs_;
  std::array<std::vector<std::vector<OpId>>, 2> sent_;  ///< by half, stage and micro-batch: by rank
  std::vector<Received> received_;
  std::vector<std::map<std::int64_t, std::array<OpId, 2>>> done_;  ///< by rank and stage: its last W
  std::vector<std::array<OpId, 3>> entry_;                         ///< scratch of place()
  std::vector<OpId> made_, before_;
};

}  // namespace

TrainStep lower_train(const Scenario& s, bool fold) {
  try {
    check_plan(s.plan, s.model, s.gpus(), s.train.global_batch);
    if (s.plan.zero >= 2 && s.plan.schedule == Schedule::dualpipe)
      throw std::invalid_argument(
          "plan.zero: DualPipe holds each stage on two ranks that run different micro-batches, so "
          "gradients are reduced at the end; use 1");
    return Lowering(s, fold).run();
  } catch (const std::invalid_argument& e) {
    throw refused(s.path, e.what(), "/plan");
  }
}

}  // namespace railcast
