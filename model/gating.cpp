#include "model/gating.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>

namespace railcast {
namespace {

constexpr std::uint64_t kSeed = 0x7261'696c'6361'7374;  // any; fixed so that two runs agree
constexpr std::uint64_t kExpert = 0xffff;  // a score's low bits carry its expert; two bits are free, so that two add up

// splitmix64's finaliser (Steele, Lea, Flood 2014).
std::uint64_t hashed(std::uint64_t x) {
  x += 0x9e37'79b9'7f4a'7c15;
  x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9;
  x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11eb;
  return x ^ (x >> 31);
}

void check(const Dispatch& d) {
  const bool whole = d.ranks > 0 && d.experts % d.ranks == 0 && d.groups > 0 && d.experts % d.groups == 0;
  if (!whole || d.experts > static_cast<std::int64_t>(kExpert)) {
    throw std::invalid_argument("the experts (" + std::to_string(d.experts) + ") do not divide over the ranks (" +
                                std::to_string(d.ranks) + ") or the groups (" + std::to_string(d.groups) + ")");
  }
  if (d.top_groups < 1 || d.top_groups > d.groups || d.top_k < 1 || d.top_k > d.top_groups * (d.experts / d.groups)) {
    throw std::invalid_argument("top_k " + std::to_string(d.top_k) + " does not fit in the top groups");
  }
}

}  // namespace

Gating::Gating(const Dispatch& d, GroupScore score) : dispatch_(d), score_(score) {
  check(d);
  scores_.resize(static_cast<std::size_t>(d.experts));
  group_.resize(static_cast<std::size_t>(d.groups));
}

std::span<const std::uint64_t> Gating::route(std::int64_t token) {
  const auto base = hashed(kSeed + static_cast<std::uint64_t>(token));
  for (std::size_t e = 0; e < scores_.size(); ++e) scores_[e] = (hashed(base ^ e) >> 2 & ~kExpert) | e;
  const std::int64_t size = dispatch_.experts / dispatch_.groups;
  for (std::int64_t g = 0; g < dispatch_.groups; ++g) group_[static_cast<std::size_t>(g)] = {value(g * size, size), g};
  std::partial_sort(group_.begin(), group_.begin() + dispatch_.top_groups, group_.end(), std::greater<>());
  return best_of_groups(size);
}

std::uint64_t Gating::value(std::int64_t first, std::int64_t size) const {
  std::uint64_t best = 0, second = 0;
  for (std::int64_t e = first; e < first + size; ++e) {
    const std::uint64_t s = scores_[static_cast<std::size_t>(e)];
    second = std::max(second, std::min(best, s));
    best = std::max(best, s);
  }
  return score_ == GroupScore::best ? best : best + second;
}

std::span<const std::uint64_t> Gating::best_of_groups(std::int64_t size) {
  chosen_.clear();
  for (std::int64_t g = 0; g < dispatch_.top_groups; ++g) {
    const auto first = scores_.begin() + group_[static_cast<std::size_t>(g)].second * size;
    chosen_.insert(chosen_.end(), first, first + size);
  }
  std::nth_element(chosen_.begin(), chosen_.begin() + dispatch_.top_k - 1, chosen_.end(), std::greater<>());
  chosen_.resize(static_cast<std::size_t>(dispatch_.top_k));
  for (auto& c : chosen_) c &= kExpert;
  return chosen_;
}

}  // namespace railcast
