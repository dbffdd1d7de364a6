#include "model/packing.hpp"

#include <algorithm>
#include <numeric>

namespace railcast {

std::vector<std::vector<std::size_t>> pack(std::span<const float> load, std::size_t bins) {
  const std::size_t places = load.size() / bins;
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (places > 1) std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return load[a] > load[b]; });
  std::vector<std::vector<std::size_t>> out(bins);
  std::vector<float> sum(bins);
  for (std::size_t i : order) {
    std::size_t lightest = bins;
    for (std::size_t b = 0; b < bins; ++b)
      if (out[b].size() < places && (lightest == bins || (places > 1 && sum[b] < sum[lightest]))) lightest = b;
    out[lightest].push_back(i);
    sum[lightest] += load[i];
  }
  return out;
}

Replicas replicate(std::span<const float> load, std::size_t places) {
  Replicas r;
  r.item.resize(load.size());
  std::iota(r.item.begin(), r.item.end(), std::size_t{0});
  r.count.assign(load.size(), 1);
  std::vector<float> share(load.begin(), load.end());
  while (r.item.size() < places) {
    const auto most = static_cast<std::size_t>(std::ranges::max_element(share) - share.begin());
    r.item.push_back(most);
    share[most] = load[most] / static_cast<float>(++r.count[most]);
  }
  return r;
}

}  // namespace railcast
