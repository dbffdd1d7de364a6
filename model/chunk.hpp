// Chunk: what one instruction of the schedule does on one pipeline rank, as lane segments with costs and dependencies.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "model/layer.hpp"
#include "model/layout.hpp"
#include "model/train.hpp"

namespace railcast {

/// A piece of a lane segment: compute of one rank, or one collective of a group.
struct Part {
  OpCost cost;
  std::array<Time, kProvenances> by_provenance{};
  Group group = Group::none;
  Time own;  ///< of it, on railcast's own kernels
  Shares shares = {};
};
using Parts = std::vector<Part>;

/// Sums the Shapes of a segment into parts, cut where a collective stands. Draws are averaged over the work.
/// Collectives of etp are named "experts.", those of cp "cp."; the others are of tp (see layer_work).
/// `apart`: between collectives the memory-bound ops make one part and the arithmetic another, in this order. Beside
/// another chunk's exchange the former meet the memory's rate and the latter the power cap; their mean meets neither.
Parts cost_parts(const Works& works, const CostModel& costs, std::int64_t sms, bool apart = false);

/// One op of an instruction, to be made for every rank, or every group, of a pipeline rank.
/// `after` is the position of the op whose output it needs (-1: what the instruction receives).
struct Node {
  Kind kind = Kind::attn_f;
  std::int32_t layer = 0, after = -1;
  CostId cost = 0;
  Group group = Group::none;
  bool comm_lane = false;
  bool by_position = false;  ///< the cost of expert-parallel position p is cost + p
};

/// The ops of one instruction in an order that respects both lanes. first_*: the ops that need what the stage before
/// sent; last_*: the ops whose output goes to the next stage (-1: none).
struct Chunk {
  std::vector<Node> nodes;
  std::int32_t first_f = -1, first_b = -1, last_f = -1, last_b = -1;
};

/// Makes chunks. Costs go into `graph` and `segments`, each distinct segment once.
class ChunkMaker {
 public:
  ChunkMaker(const Scenario& s, const std::vector<StageLayers>& stages, GraphBuilder& graph,
             std::vector<Segment>& segments);
  Chunk forward(std::int64_t stage);
  /// B and W of a whole stage, or one of them. Outside an overlapped pair compute has all SMs, so nothing overlaps.
  Chunk backward(std::int64_t stage, bool inputs, bool weights);
  /// F of one stage beside B and W of another (arXiv 2412.19437, Fig. 4).
  Chunk overlapped(std::int64_t stage_f, std::int64_t stage_b);
  /// One op outside the layers.
  std::pair<CostId, Group> single(Kind kind, const Works& works, Group group);

 private:
  struct Piece {
    CostId cost = 0;
    Group group = Group::none;
    bool by_position = false;
  };
  struct Lane {  ///< a lane segment
    Kind kind = Kind::attn_f;
    std::int32_t layer = 0;
    std::vector<Piece> pieces;
  };
  /// The segments around a layer's own come first in their half: embedding, head and MTP.
  struct Layer {
    std::vector<Lane> before_f, before_b, before_w;
    Lane attn_f, dispatch_f, mlp_f, combine_f;
    Lane combine_b, mlp_b, mlp_w, dispatch_b, attn_b, attn_w;
  };
  struct Stage {
    std::vector<Layer> forward, backward;  ///< the same layers, in the order in which each half meets them
    std::vector<Lane> after_f, after_b, after_w;
  };
  class Weaver;

  std::vector<Piece> pieces(Kind kind, const Works& works, std::int64_t sms, bool apart);
  std::vector<Piece> loaded_pieces(Kind kind, Works LayerWork::*segment, const LayerWork& w, const LayerLoad& loads,
                                   std::int64_t sms, bool apart);
  Layer make_layer(const LayerWork& w, std::int64_t sms, const LayerLoad& loads, bool apart);
  Layer layer(std::int64_t index, bool overlapped);
  Stage make_stage(std::int64_t stage, bool overlapped);
  void add_edges(Stage& s, const StageLayers& l, bool overlapped);
  const Stage& stage(std::int64_t index, bool overlapped);

  const Scenario& scenario_;
  const std::vector<StageLayers>& stages_;
  GraphBuilder& graph_;
  std::vector<Segment>& segments_;
  std::array<std::vector<std::pair<LayerWork, Layer>>, 2> layers_;  ///< by overlapped, of equal loads
  std::array<std::vector<Stage>, 2> made_;
  std::array<std::vector<bool>, 2> is_made_;
};

}  // namespace railcast
