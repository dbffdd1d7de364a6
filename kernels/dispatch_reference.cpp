#include "kernels/dispatch_reference.hpp"

namespace railcast::kernels::reference {

std::vector<int> places(const ExchangeShape& s, const std::vector<int>& chosen) {
  const auto top_k = static_cast<std::size_t>(s.top_k), ranks = static_cast<std::size_t>(s.ranks);
  const std::size_t tokens = chosen.size() / top_k;
  std::vector<int> place(tokens * ranks, -1), next(ranks, 0);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t k = 0; k < top_k; ++k) {
      const int expert = chosen[t * top_k + k];
      if (expert < 0) continue;
      const auto d = static_cast<std::size_t>(expert / (s.experts / s.ranks));
      if (place[t * ranks + d] < 0) place[t * ranks + d] = next[d]++;
    }
  return place;
}

std::vector<std::vector<Sent>> dispatched(const ExchangeShape& s, const Chosen& chosen) {
  const auto ranks = static_cast<std::size_t>(s.ranks);
  std::vector<std::vector<Sent>> rows(ranks);
  for (std::size_t r = 0; r < chosen.size(); ++r) {
    const std::vector<int> place = places(s, chosen[r]);
    for (std::size_t i = 0; i < place.size(); ++i)
      if (place[i] >= 0) rows[i % ranks].push_back({static_cast<int>(r), static_cast<int>(i / ranks)});
  }
  return rows;
}

std::vector<int> experts_on(const ExchangeShape& s, const std::vector<int>& chosen, int token, int rank) {
  const auto each = static_cast<int>(s.experts / s.ranks), first = rank * each;
  std::vector<int> experts;
  for (int k = 0; k < s.top_k; ++k) {
    const int e = chosen[static_cast<std::size_t>(token * s.top_k + k)];
    experts.push_back(e >= first && e < first + each ? e - first : -1);
  }
  return experts;
}

}  // namespace railcast::kernels::reference
