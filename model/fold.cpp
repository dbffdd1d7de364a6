#include "model/fold.hpp"

#include <algorithm>
#include <map>

namespace railcast {
namespace {

using Signature = std::vector<std::uint32_t>;

// Numbers distinct signatures by the lowest rank that has one.
std::vector<std::uint32_t> number(const std::vector<Signature>& of_rank) {
  std::map<Signature, std::uint32_t> seen;
  std::vector<std::uint32_t> colours;
  for (const Signature& s : of_rank)
    colours.push_back(seen.emplace(s, static_cast<std::uint32_t>(seen.size())).first->second);
  return colours;
}

// By group: a number for its multiset of colours.
std::vector<std::uint32_t> group_colours(const std::vector<std::uint32_t>& colours, const Grouping& grouping) {
  std::vector<Signature> members(*std::ranges::max_element(grouping) + 1);
  for (std::size_t r = 0; r < colours.size(); ++r) members[grouping[r]].push_back(colours[r]);
  for (Signature& m : members) std::ranges::sort(m);
  return number(members);
}

}  // namespace

std::vector<std::uint32_t> equitable_colours(std::vector<std::uint32_t> colours,
                                             const std::vector<Grouping>& groupings) {
  const auto count = [](const std::vector<std::uint32_t>& c) {
    return c.empty() ? 0 : *std::ranges::max_element(c) + 1;
  };
  std::vector<Signature> signatures(colours.size());
  for (std::size_t r = 0; r < colours.size(); ++r) signatures[r] = {colours[r]};
  colours = number(signatures);
  for (std::uint32_t before = 0; count(colours) != before;) {
    before = count(colours);
    for (std::size_t r = 0; r < colours.size(); ++r) signatures[r] = {colours[r]};
    for (const Grouping& g : groupings) {
      const auto of_group = group_colours(colours, g);
      for (std::size_t r = 0; r < colours.size(); ++r) signatures[r].push_back(of_group[g[r]]);
    }
    colours = number(signatures);
  }
  return colours;
}

}  // namespace railcast
