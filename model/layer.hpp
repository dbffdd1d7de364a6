// One layer of a Transformer on one rank, lowered to Shapes: forward, backward for inputs (B) and for weights (W).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/plan.hpp"
#include "model/transformer.hpp"

namespace railcast {

/// A Shape in its place: `what` names the projection or step ("q_a_proj", "experts.down", "rms_norm"), `dtype` its
/// precision; `recomputed` says that a backward segment repeats a forward op.
struct Work {
  std::string what;
  Shape shape;
  bool recomputed = false;
  bool operator==(const Work&) const = default;
};
using Works = std::vector<Work>;

/// The lane segments of one layer. In the V3 report's words (Fig. 4) COMBINE(B) routes the output's gradient to the
/// experts (bytes of a dispatch) and DISPATCH(B) brings the input's gradient back (bytes of a combine).
/// A dense layer has empty dispatch and combine. Collectives of TP and CP stand where they run, inside the segments.
struct LayerWork {
  Works attn_f, dispatch_f, mlp_f, combine_f;
  Works combine_b, mlp_b, mlp_w, dispatch_b, attn_b, attn_w;
  bool operator==(const LayerWork&) const = default;
};
LayerWork layer_work(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence,
                     std::int64_t gpus_per_node);

/// Expert loads of one layer over the ranks of an expert-parallel group, relative to perfectly balanced routing.
struct LayerLoad {
  std::vector<double> rows;  ///< by expert-parallel position: rows of its experts over the mean
  double exchange = 1;       ///< bytes of the busiest port over balanced routing's
  std::int64_t experts = 0;  ///< experts of a rank, replicas included; 0: as the plan has it
  double most_rows() const;  ///< of the position that the others wait for
};

/// One rank's part of a LayerLoad. The default changes nothing.
struct RankLoad {
  double rows = 1, exchange = 1;
  std::int64_t experts = 0;
};
/// Gives the experts `rows` times their rows, in `experts` groups, and the exchanges `exchange` times their tokens.
void load_experts(LayerWork& w, const RankLoad& load);

/// Embedding, and head with loss (the loss gives its gradient in the forward pass, as fused kernels do).
struct EdgeWork {
  Works forward, backward, weight;
};
EdgeWork embedding_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);
EdgeWork head_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);
/// What an MTP module adds around its own layer: two norms, the 2h -> h projection, (its head is head_work).
EdgeWork mtp_edge_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);

/// Bytes a layer holds for one micro-batch on one rank, by the plan's recompute list and precision (arXiv 2412.19437,
/// 3.3.3). F takes kept_for_b + kept_for_w. The end of B gives back kept_for_b; where the backward is split, it takes
/// made_for_w (gradients, and inputs recomputed) and the end of W gives back kept_for_w + made_for_w. In a backward
/// that is not split, made_for_w of one layer at a time is workspace.
struct LayerActivation {
  double kept_for_b = 0;  ///< from F to the end of B
  double kept_for_w = 0;  ///< from F to the end of W
  double made_for_w = 0;  ///< from B to the end of W
};
LayerActivation layer_activation(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence);
/// BF16 input of a stage for one micro-batch.
double boundary_bytes(const Transformer& t, const Plan& p, std::int64_t sequence);
/// BF16 logits of one micro-batch, held from the head's forward to its W.
double logits_bytes(const Transformer& t, const Plan& p, std::int64_t sequence);

}  // namespace railcast
