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
};
using Works = std::vector<Work>;

/// The lane segments of one layer. In the V3 report's words (Fig. 4) COMBINE(B) routes the output's gradient to the
/// experts (bytes of a dispatch) and DISPATCH(B) brings the input's gradient back (bytes of a combine).
/// A dense layer has empty dispatch and combine. Collectives of TP and CP stand where they run, inside the segments.
struct LayerWork {
  Works attn_f, dispatch_f, mlp_f, combine_f;
  Works combine_b, mlp_b, mlp_w, dispatch_b, attn_b, attn_w;
};
LayerWork layer_work(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence,
                     std::int64_t gpus_per_node);

/// Embedding, and head with loss (the loss gives its gradient in the forward pass, as fused kernels do).
struct EdgeWork {
  Works forward, backward, weight;
};
EdgeWork embedding_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);
EdgeWork head_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);
/// What an MTP module adds around its own layer: two norms, the 2h -> h projection, (its head is head_work).
EdgeWork mtp_edge_work(const Transformer& t, const Plan& p, std::int64_t sequence, std::int64_t gpus_per_node);

/// Bytes kept from a layer's forward to its backward for one micro-batch on one rank, by the plan's recompute list
/// and precision (arXiv 2412.19437, 3.3.3), and what is kept only until W where the backward is split.
struct LayerActivation {
  double kept_for_b = 0;  ///< freed at the end of B
  double kept_for_w = 0;  ///< freed at the end of W
};
LayerActivation layer_activation(const Transformer& t, const Plan& p, std::int64_t layer, std::int64_t sequence);
/// Boundary activation (input of a stage, one micro-batch), and logits of the head while it runs.
double boundary_bytes(const Transformer& t, const Plan& p, std::int64_t sequence);

}  // namespace railcast
