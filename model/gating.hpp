// One token at a time through a gate with a group limit, over independent uniform scores.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

/// Scores are hashed from (seed, token, expert), so that a token's experts depend on nothing else.
class Gating {
 public:
  /// `d` must outlive the gate. Throws std::invalid_argument where experts, ranks and groups do not divide.
  Gating(const Dispatch& d, GroupScore score);
  /// The top_k experts of `token`, in no order; valid until the next call.
  std::span<const std::uint64_t> route(std::int64_t token);

 private:
  std::uint64_t value(std::int64_t first, std::int64_t size) const;
  std::span<const std::uint64_t> best_of_groups(std::int64_t size);
  const Dispatch& dispatch_;
  GroupScore score_;
  std::vector<std::uint64_t> scores_;
  std::vector<std::pair<std::uint64_t, std::int64_t>> group_;  // value, index
  std::vector<std::uint64_t> chosen_;
};

}  // namespace railcast
