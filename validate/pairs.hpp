// Measured rows of the same kernel, shape and method side by side: a run and an earlier one, or a kernel and its peer.
#pragma once
#include <string>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

struct Pair {
  CalibrationRow before, after;
  /// Time of before over time of after: 1.03 is 3 % faster. Of grouped shapes per valid row (token of a wgrad).
  double speed = 1;
};

/// Pairs of one stem (and note of the impl, such as "uneven") and method.
struct PairGroup {
  std::string kernel, method;
  std::vector<Pair> pairs;  ///< the slowest first
  double geomean = 1;       ///< of their speeds
};

struct Pairing {
  std::vector<PairGroup> groups;                         ///< by kernel, then method
  std::int64_t unpaired_before = 0, unpaired_after = 0;  ///< rows of the impls asked for without a partner
};

/// Pairs rows of equal shape, SMs and method. Only rows whose impl is `impl_before` or `impl_after` count, or that and
/// a note ("railcast uneven"), which must be equal; empty: every impl beside itself. A row that stands more than once
/// (sweeps of collectives) counts once, with the median of its times.
Pairing pair_rows(const std::vector<CalibrationRow>& before, const std::vector<CalibrationRow>& after,
                  const std::string& impl_before, const std::string& impl_after);

}  // namespace railcast
