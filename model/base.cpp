#include "model/base.hpp"

#include <algorithm>

namespace railcast {

const char* name(Base b) {
  static constexpr std::array names{"GEMM", "grouped GEMM", "wgrad", "attention", "HBM", "NVLink", "NIC", "latency"};
  return names.at(static_cast<std::size_t>(b));
}

Base base_of(const Shape& s, const Cost& c) {
  if (is_collective(s)) return c.drawn(Draw::nic) >= c.drawn(Draw::nvlink) ? Base::nic : Base::nvlink;
  if (std::holds_alternative<Gemm>(s)) return Base::gemm;
  if (std::holds_alternative<GroupedGemm>(s) || std::holds_alternative<GroupedGemmMasked>(s)) return Base::grouped_gemm;
  if (std::holds_alternative<Wgrad>(s) || std::holds_alternative<WgradGrouped>(s)) return Base::wgrad;
  return std::holds_alternative<Attention>(s) ? Base::attention : Base::hbm;
}

void add_share(Shares& shares, const Shape& s, const Cost& c) {
  const Base base = base_of(s, c);
  const auto stem = static_cast<std::uint8_t>(s.index());
  auto at = std::ranges::find_if(shares, [&](const Share& x) { return x.base == base && x.stem == stem; });
  if (at == shares.end()) at = shares.insert(at, {base, stem, {}, {}, 0});
  const double before = (at->latency + at->work).seconds(), added = c.total().seconds();
  if (before + added > 0) at->spread = (at->spread * before + c.spread * added) / (before + added);
  at->latency += c.latency, at->work += c.work;
}

}  // namespace railcast
