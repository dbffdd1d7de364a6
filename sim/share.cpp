#include "sim/share.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace railcast {
namespace {

constexpr int kBits = 46;  // room for 2^16 ops on one resource in 63 bits
constexpr double kNever = std::numeric_limits<double>::infinity();

constexpr double kUnit = 0x1p46;  // 2^kBits; a product with a power of two is exact

std::int64_t fixed(double v, double unit) { return std::llrint(v * unit); }

}  // namespace

void ShareProblem::clear(std::size_t resources) {
  weight_.clear(), draws_.clear();
  begin_.assign(1, 0);
  scale_.assign(resources, std::numeric_limits<int>::min());
  used_.assign(resources, 0);
}

// Each resource's demands are integers whose largest has kBits bits.
void ShareProblem::scale_weights() {
  for (std::size_t i = 0; i < ops(); ++i)
    for (const Draw1& d : draws_of(i))
      if (d.fraction > 0) scale_[d.resource] = std::max(scale_[d.resource], std::ilogb(weight_[i] * d.fraction));
  unit_.resize(scale_.size());
  for (std::size_t r = 0; r < scale_.size(); ++r)
    unit_[r] = scale_[r] == std::numeric_limits<int>::min() ? 1 : std::ldexp(1.0, kBits - scale_[r]);
  demand_.resize(draws_.size());
  for (std::size_t i = 0; i < ops(); ++i)
    for (std::uint32_t e = begin_[i]; e < begin_[i + 1]; ++e) {
      const Draw1& d = draws_[e];
      demand_[e] = d.fraction > 0 ? fixed(weight_[i] * d.fraction, unit_[d.resource]) : 0;
    }
}

// The smallest level at which a resource fills up or an open op reaches full speed.
double ShareProblem::next_level(double level) {
  demand_sum_.assign(used_.size(), 0);
  double next = kNever;
  for (std::uint32_t i : open_) {
    next = std::min(next, 1 / weight_[i]);
    for (std::uint32_t e = begin_[i]; e < begin_[i + 1]; ++e) demand_sum_[draws_[e].resource] += demand_[e];
  }
  full_at_.assign(used_.size(), kNever);
  for (std::size_t r = 0; r < used_.size(); ++r) {
    if (demand_sum_[r] == 0) continue;
    const double left = 1 - static_cast<double>(used_[r]) / kUnit;
    const double demand = static_cast<double>(demand_sum_[r]) / unit_[r];
    full_at_[r] = std::max(level, left / demand);  // levels only grow: rounding must not take one back
    next = std::min(next, full_at_[r]);
  }
  return next;
}

// Ops at full speed or on a full resource keep the speed they have.
void ShareProblem::freeze(double level) {
  const auto on_full = [&](const Draw1& d) { return d.fraction > 0 && full_at_[d.resource] <= level; };
  std::erase_if(open_, [&](std::uint32_t i) {
    const bool full_speed = 1 / weight_[i] <= level;
    if (!full_speed && std::ranges::none_of(draws_of(i), on_full)) return false;
    speed_[i] = full_speed ? 1 : weight_[i] * level;
    for (const Draw1& d : draws_of(i)) used_[d.resource] += fixed(speed_[i] * d.fraction, kUnit);
    return true;
  });
}

std::span<const double> ShareProblem::solve() {
  scale_weights();
  speed_.assign(ops(), 1);
  open_.resize(ops());
  std::iota(open_.begin(), open_.end(), 0U);
  for (double level = 0; !open_.empty();) {
    level = next_level(level);
    freeze(level);
  }
  return speed_;
}

}  // namespace railcast
