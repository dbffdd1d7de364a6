// Max-min sharing by weight: the solver alone, apart from events and ops.
//
// Op i runs at speed s_i in [0, 1] and takes s_i d_ir of resource r (capacity 1). Progressive filling: all speeds grow
// as s_i = min(1, w_i L) with a common level L; when a resource is full, the ops on it keep their speed and the level
// of the others grows on. Sums are exact integers, so the result does not depend on the order of ops or resources.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace railcast {

/// A resource of the problem (dense index) and the fraction of it that an op takes at full speed.
struct Draw1 {
  std::uint32_t resource = 0;
  double fraction = 0;
};

/// Ops in compressed rows. Reused from solve to solve, so it keeps its memory.
class ShareProblem {
 public:
  void clear(std::size_t resources);
  void op(double weight) { weight_.push_back(weight), begin_.push_back(static_cast<std::uint32_t>(draws_.size())); }
  void draw(std::uint32_t resource, double fraction) {  ///< of the op added last
    draws_.push_back({resource, fraction}), begin_.back() = static_cast<std::uint32_t>(draws_.size());
  }
  std::size_t ops() const { return weight_.size(); }
  /// Speeds by op, valid until the next call.
  std::span<const double> solve();

 private:
  std::span<const Draw1> draws_of(std::size_t op) const {
    return {draws_.data() + begin_[op], begin_[op + 1] - begin_[op]};
  }
  void scale_weights();
  double next_level(double level);
  void freeze(double level);

  std::vector<double> weight_, speed_;
  std::vector<std::uint32_t> begin_{0};
  std::vector<Draw1> draws_;
  std::vector<std::int64_t> demand_;             // per draw: weight x fraction, in units of 2^-scale
  std::vector<int> scale_;                       // per resource
  std::vector<double> unit_;                     // per resource: 1 in fixed point, a power of two
  std::vector<std::int64_t> used_, demand_sum_;  // per resource
  std::vector<double> full_at_;                  // per resource: the level that fills it
  std::vector<std::uint32_t> open_;              // ops not yet frozen
};

}  // namespace railcast
