// Weights on one GPU by who shares them: what is held, reduced over data-parallel ranks, and optimized.
#pragma once
#include <vector>

#include "model/scenario.hpp"
#include "model/split.hpp"

namespace railcast {

/// In elements.
struct Weights {
  double dense = 0;    ///< the same on all data-parallel ranks, multiplied in the plan's precision
  double exact = 0;    ///< likewise, kept in BF16: embedding, head, gate, norms (arXiv 2412.19437, 3.3.1)
  double experts = 0;  ///< the same on the expert-data-parallel ranks
  Weights& operator+=(const Weights& o) {
    dense += o.dense, exact += o.exact, experts += o.experts;
    return *this;
  }
  double total() const { return dense + exact + experts; }
};

Weights layer_weights(const Scenario& s, std::int64_t layer);
/// The stages that a rank holds with their MTP modules, and one embedding and one head where any of them needs it: MTP
/// embeds the next token on the last stage, which shares the first stage's embedding where a rank holds both
/// (arXiv 2412.19437, 3.2.3).
Weights weights_of(const Scenario& s, const std::vector<StageLayers>& held);

/// How many GPUs hold each kind of weight. DualPipe holds every stage on two pipeline ranks.
struct Sharing {
  double dense = 1, experts = 1;
};
Sharing sharing(const Scenario& s);

}  // namespace railcast
