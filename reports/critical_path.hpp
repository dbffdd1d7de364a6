// The critical path of a simulated graph: the chain of ops that the step waits for.
#pragma once
#include <cstdint>
#include <vector>

#include "model/train.hpp"
#include "sim/graph.hpp"

namespace railcast {

/// Ops in time order: back from the op that ends last, always to the predecessor that ends last (ties: lowest id).
std::vector<OpId> critical_path(const Graph& g, const Trace& t);

/// What one kind of op takes of the path.
struct PathKind {
  Kind kind = Kind::attn_f;
  double time_s = 0, share = 0;  ///< share: of the path's busy time
  std::int64_t count = 0;
};
/// Kinds on the path, longest time first (ties: in the order of Kind).
std::vector<PathKind> path_kinds(const Graph& g, const Trace& t, const std::vector<OpId>& path);

/// Shares of the path's busy time by where the costs come from, each op's duration spread as its Segment says; they
/// sum to 1 (all 0 where the path takes no time). An op without a source counts as assumed.
std::array<double, kProvenances> path_provenance(const TrainStep& s, const Trace& t, const std::vector<OpId>& path);
/// Share of its time that rests on rows of railcast's own kernels.
double path_own(const TrainStep& s, const Trace& t, const std::vector<OpId>& path);

}  // namespace railcast
