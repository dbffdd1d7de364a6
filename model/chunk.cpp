#include "model/chunk.hpp"

#include <algorithm>

namespace railcast {
namespace {

std::vector<std::int64_t> layers_of(const StageLayers& l, const Transformer& t) {
  std::vector<std::int64_t> layers;
  for (std::int64_t i = 0; i < l.count; ++i) layers.push_back(l.first + i);
  for (std::int64_t i = 0; l.head && i < t.num_nextn_predict_layers; ++i) layers.push_back(t.num_hidden_layers + i);
  return layers;
}

}  // namespace

ChunkMaker::ChunkMaker(const Scenario& s, const std::vector<StageLayers>& stages, GraphBuilder& graph,
                       std::vector<Segment>& segments)
    : scenario_(s), stages_(stages), graph_(graph), segments_(segments) {
  for (int o = 0; o < 2; ++o) {
    made_[static_cast<std::size_t>(o)].resize(stages.size());
    is_made_[static_cast<std::size_t>(o)].resize(stages.size());
  }
}

std::vector<ChunkMaker::Piece> ChunkMaker::pieces(Kind kind, const Works& works, std::int64_t sms, bool apart) {
  std::vector<Piece> made;
  for (const Part& p : cost_parts(works, *scenario_.costs, sms, apart)) {
    const bool inside = p.group != Group::none && !is_communication(kind);
    made.push_back({graph_.cost(p.cost), p.group, false});
    segments_.push_back({inside ? Kind::collective : kind, 0, p.by_provenance, p.own, p.shares});
  }
  return made;
}

std::pair<CostId, Group> ChunkMaker::single(Kind kind, const Works& works, Group group) {
  const Parts parts = cost_parts(works, *scenario_.costs, scenario_.machine.sms);
  segments_.push_back({kind, 0, parts.at(0).by_provenance, parts.at(0).own, parts.at(0).shares});
  return {graph_.cost(parts.at(0).cost), group};
}

// One cost per expert-parallel position, next to each other. An exchange takes as long as the busiest position's.
std::vector<ChunkMaker::Piece> ChunkMaker::loaded_pieces(Kind kind, Works LayerWork::*segment, const LayerWork& w,
                                                         const LayerLoad& loads, std::int64_t sms, bool apart) {
  const auto loaded = [&](double rows) {
    LayerWork own = w;
    load_experts(own, {rows, loads.exchange, loads.experts});
    return own.*segment;
  };
  if (is_communication(kind)) return pieces(kind, loaded(loads.most_rows()), sms, apart);
  std::vector<Parts> by_position;
  for (double rows : loads.rows) by_position.push_back(cost_parts(loaded(rows), *scenario_.costs, sms, apart));
  std::vector<Piece> made;
  for (std::size_t part = 0; part < by_position[0].size(); ++part) {
    const bool inside = by_position[0][part].group != Group::none;
    made.push_back({static_cast<CostId>(segments_.size()), by_position[0][part].group, true});
    for (const Parts& parts : by_position) {
      graph_.cost(parts[part].cost);
      segments_.push_back(
          {inside ? Kind::collective : kind, 0, parts[part].by_provenance, parts[part].own, parts[part].shares});
    }
  }
  return made;
}

ChunkMaker::Layer ChunkMaker::make_layer(const LayerWork& w, std::int64_t sms, const LayerLoad& loads, bool apart) {
  const std::int64_t comm = std::clamp<std::int64_t>(scenario_.plan.comm_sms, 1, scenario_.machine.sms);
  const auto lane = [&](Kind k, Works LayerWork::*segment) {
    const std::int64_t own = is_communication(k) ? comm : sms;
    const bool loaded = !loads.rows.empty() && k != Kind::attn_f && k != Kind::attn_b && k != Kind::attn_w;
    return Lane{k, 0, loaded ? loaded_pieces(k, segment, w, loads, own, apart) : pieces(k, w.*segment, own, apart)};
  };
  Layer l;
  l.attn_f = lane(Kind::attn_f, &LayerWork::attn_f), l.dispatch_f = lane(Kind::dispatch_f, &LayerWork::dispatch_f);
  l.mlp_f = lane(Kind::mlp_f, &LayerWork::mlp_f), l.combine_f = lane(Kind::combine_f, &LayerWork::combine_f);
  l.combine_b = lane(Kind::combine_b, &LayerWork::combine_b), l.mlp_b = lane(Kind::mlp_b, &LayerWork::mlp_b);
  l.mlp_w = lane(Kind::mlp_w, &LayerWork::mlp_w), l.dispatch_b = lane(Kind::dispatch_b, &LayerWork::dispatch_b);
  l.attn_b = lane(Kind::attn_b, &LayerWork::attn_b), l.attn_w = lane(Kind::attn_w, &LayerWork::attn_w);
  return l;
}

// Layers that do the same work with equal loads cost the same: each kind is costed once.
ChunkMaker::Layer ChunkMaker::layer(std::int64_t index, bool overlapped) {
  const Machine& m = scenario_.machine;
  const auto& all_loads = scenario_.train.expert_loads;
  const bool moe = scenario_.model.moe(index);
  const bool loaded = moe && static_cast<std::size_t>(index) < all_loads.size();
  const LayerLoad loads = loaded ? all_loads[static_cast<std::size_t>(index)] : LayerLoad{};
  const std::int64_t sms = m.sms - (overlapped && moe ? scenario_.plan.comm_sms : 0);
  LayerWork w = layer_work(scenario_.model, scenario_.plan, index, scenario_.train.sequence, m.gpus_per_node);
  Layer l;
  if (!loads.rows.empty()) {
    l = make_layer(w, sms, loads, overlapped);
  } else {
    load_experts(w, {scenario_.train.expert_imbalance, scenario_.train.expert_imbalance});
    auto& known = layers_[overlapped];
    auto it = std::ranges::find(known, w, &std::pair<LayerWork, Layer>::first);
    if (it == known.end()) it = known.insert(it, {w, make_layer(w, sms, {}, overlapped)});
    l = it->second;
  }
  for (Lane* lane : {&l.attn_f, &l.dispatch_f, &l.mlp_f, &l.combine_f, &l.combine_b, &l.mlp_b, &l.mlp_w, &l.dispatch_b,
                     &l.attn_b, &l.attn_w})
    lane->layer = static_cast<std::int32_t>(index);
  return l;
}

ChunkMaker::Stage ChunkMaker::make_stage(std::int64_t stage, bool overlapped) {
  const StageLayers& l = stages_[static_cast<std::size_t>(stage)];
  Stage s;
  for (std::int64_t index : layers_of(l, scenario_.model)) s.forward.push_back(layer(index, overlapped));
  s.backward = s.forward;
  std::ranges::reverse(s.backward);
  add_edges(s, l, overlapped);
  return s;
}

// F: embedding, layers, head, then each MTP module: its projection, its layer, the head again. B: the reverse.
void ChunkMaker::add_edges(Stage& s, const StageLayers& l, bool overlapped) {
  const Transformer& t = scenario_.model;
  const std::int64_t node = scenario_.machine.gpus_per_node, sequence = scenario_.train.sequence;
  const std::int64_t sms = scenario_.machine.sms - (overlapped ? scenario_.plan.comm_sms : 0);
  const auto lane = [&](Kind k, const Works& w) {
    return Lane{k, static_cast<std::int32_t>(l.first), pieces(k, w, sms, overlapped)};
  };
  if (l.embedding) {
    const EdgeWork e = embedding_work(t, scenario_.plan, sequence, node);
    (s.forward.empty() ? s.after_f : s.forward.front().before_f).push_back(lane(Kind::embedding_f, e.forward));
    s.after_b.push_back(lane(Kind::embedding_b, e.backward));
    s.after_w.push_back(lane(Kind::embedding_b, e.weight));
  }
  if (!l.head) return;
  const EdgeWork h = head_work(t, scenario_.plan, sequence, node);
  const Lane head_f = lane(Kind::head_f, h.forward), head_b = lane(Kind::head_b, h.backward),
             head_w = lane(Kind::head_w, h.weight);
  s.after_f.push_back(head_f);
  std::vector<Lane> b{head_b}, w{head_w};  // of what comes next in the backward half
  const auto modules = static_cast<std::size_t>(t.num_nextn_predict_layers);
  if (modules > 0) {
    const EdgeWork m = mtp_edge_work(t, scenario_.plan, sequence, node);
    const Lane mtp_f = lane(Kind::mtp_f, m.forward), mtp_b = lane(Kind::mtp_b, m.backward),
               mtp_w = lane(Kind::mtp_w, m.weight);
    for (std::size_t i = 0; i < modules; ++i) {
      auto& before = s.forward[s.forward.size() - 1 - i].before_f;
      before.insert(before.end(), {head_f, mtp_f});
      s.backward[i].before_b = b, s.backward[i].before_w = w;
      b = {mtp_b, head_b}, w = {mtp_w, head_w};
    }
  }
  if (modules < s.backward.size()) {
    s.backward[modules].before_b = b, s.backward[modules].before_w = w;
  } else {
    s.after_b.insert(s.after_b.begin(), b.begin(), b.end());
    s.after_w.insert(s.after_w.begin(), w.begin(), w.end());
  }
}

const ChunkMaker::Stage& ChunkMaker::stage(std::int64_t index, bool overlapped) {
  const auto i = static_cast<std::size_t>(index);
  if (!is_made_[overlapped][i]) made_[overlapped][i] = make_stage(index, overlapped), is_made_[overlapped][i] = true;
  return made_[overlapped][i];
}

// Appends lane segments and keeps, for each half, where its data stands.
class ChunkMaker::Weaver {
 public:
  enum Half { F, B };
  /// `serial`: nothing overlaps, so that communication also waits for weight gradients.
  explicit Weaver(bool serial) : serial_(serial) {}
  /// The segment needs what its half has made so far, and makes what comes next.
  void add(Half half, const Lane& lane) { at_[half] = made_[half] = append(lane, at_[half], first_[half]); }
  void add(Half half, const std::vector<Lane>& lanes) {
    for (const Lane& l : lanes) add(half, l);
  }
  /// A weight gradient: needs the backward's data, makes nothing that anyone waits for.
  void add_weight(const Lane& lane) {
    const std::int32_t end = append(lane, at_[B], unused_);
    if (serial_) at_[B] = end;
  }
  void add_weight(const std::vector<Lane>& lanes) {
    for (const Lane& l : lanes) add_weight(l);
  }
  Chunk done() && {
    chunk_.first_f = first_[F], chunk_.first_b = first_[B];
    chunk_.last_f = made_[F], chunk_.last_b = made_[B];
    return std::move(chunk_);
  }

 private:
  std::int32_t append(const Lane& lane, std::int32_t after, std::int32_t& first) {
    for (const Piece& p : lane.pieces) {
      const auto position = static_cast<std::int32_t>(chunk_.nodes.size());
      if (first < 0) first = position;
      const bool inside = p.group != Group::none && !is_communication(lane.kind);
      chunk_.nodes.push_back({inside ? Kind::collective : lane.kind, lane.layer, after, p.cost, p.group,
                              is_communication(lane.kind), p.by_position});
      after = position;
    }
    return after;
  }
  Chunk chunk_;
  bool serial_;
  std::array<std::int32_t, 2> first_{-1, -1};
  std::array<std::int32_t, 2> at_{-1, -1};    // what the next segment waits for
  std::array<std::int32_t, 2> made_{-1, -1};  // what the next stage will be sent
  std::int32_t unused_ = 0;
};

Chunk ChunkMaker::forward(std::int64_t index) {
  Weaver w(true);
  for (const Layer& l : stage(index, false).forward) {
    w.add(Weaver::F, l.before_f);
    for (const Lane* lane : {&l.attn_f, &l.dispatch_f, &l.mlp_f, &l.combine_f}) w.add(Weaver::F, *lane);
  }
  w.add(Weaver::F, stage(index, false).after_f);
  return std::move(w).done();
}

Chunk ChunkMaker::backward(std::int64_t index, bool inputs, bool weights) {
  Weaver w(true);
  const auto input = [&](const auto& lane) {
    if (inputs) w.add(Weaver::B, lane);
  };
  const auto weight = [&](const auto& lane) {
    if (weights) w.add_weight(lane);
  };
  for (const Layer& l : stage(index, false).backward) {
    input(l.before_b), weight(l.before_w);
    input(l.combine_b), input(l.mlp_b), weight(l.mlp_w);
    input(l.dispatch_b), input(l.attn_b), weight(l.attn_w);
  }
  input(stage(index, false).after_b), weight(stage(index, false).after_w);
  return std::move(w).done();
}

// One period per layer. Compute lane: MLP(B) MLP(W) MLP(F) ATTN(B) ATTN(W) ATTN(F of the next);
// communication lane: DISPATCH(F) DISPATCH(B) COMBINE(F) COMBINE(B of the next).
Chunk ChunkMaker::overlapped(std::int64_t stage_f, std::int64_t stage_b) {
  const Stage &f = stage(stage_f, true), &b = stage(stage_b, true);
  Weaver w(false);
  const auto enter = [&](std::size_t k) {
    if (k < b.backward.size()) w.add(Weaver::B, b.backward[k].before_b), w.add_weight(b.backward[k].before_w);
    if (k < f.forward.size()) w.add(Weaver::F, f.forward[k].before_f), w.add(Weaver::F, f.forward[k].attn_f);
    if (k < b.backward.size()) w.add(Weaver::B, b.backward[k].combine_b);
  };
  enter(0);
  for (std::size_t k = 0; k < std::max(f.forward.size(), b.backward.size()); ++k) {
    const Layer* lf = k < f.forward.size() ? &f.forward[k] : nullptr;
    const Layer* lb = k < b.backward.size() ? &b.backward[k] : nullptr;
    if (lf) w.add(Weaver::F, lf->dispatch_f);
    if (lb) w.add(Weaver::B, lb->mlp_b), w.add_weight(lb->mlp_w), w.add(Weaver::B, lb->dispatch_b);
    if (lf) w.add(Weaver::F, lf->mlp_f), w.add(Weaver::F, lf->combine_f);
    if (lb) w.add(Weaver::B, lb->attn_b), w.add_weight(lb->attn_w);
    enter(k + 1);
  }
  w.add(Weaver::B, b.after_b), w.add_weight(b.after_w), w.add(Weaver::F, f.after_f);
  return std::move(w).done();
}

}  // namespace railcast
