#include "validate/pairs.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>

namespace railcast {
namespace {

/// What is left of a row's impl behind the one asked for; nothing where it is another.
std::optional<std::string> note_of(const std::string& impl, const std::string& asked) {
  if (asked.empty() || !impl.starts_with(asked)) return asked.empty() ? std::optional(impl) : std::nullopt;
  const std::string rest = impl.substr(asked.size());
  return rest.empty() || rest.front() == ' ' ? std::optional(rest) : std::nullopt;
}

struct Key {
  std::string kernel, method, shape;
  std::int64_t sms;
  auto operator<=>(const Key&) const = default;
};

std::map<Key, CalibrationRow> keyed(const std::vector<CalibrationRow>& rows, const std::string& impl) {
  std::map<Key, std::vector<CalibrationRow>> all;
  for (const CalibrationRow& r : rows) {
    const auto note = note_of(r.impl, impl);
    if (!note) continue;
    const std::string kernel = stem(r.shape) + (impl.empty() ? " " + *note : *note);
    all[{kernel, r.method, describe(r.shape), r.sms}].push_back(r);
  }
  std::map<Key, CalibrationRow> one;
  for (auto& [key, same] : all) {
    std::ranges::sort(same, {}, &CalibrationRow::us);
    one.emplace(key, same[same.size() / 2]);
  }
  return one;
}

/// Rows (tokens of a grouped wgrad) that were worked on; 0 where the shape says all.
double valid_rows(const CalibrationRow& r) {
  if (!r.group_rows.empty())
    return std::accumulate(r.group_rows.begin(), r.group_rows.end(), 0.0,
                           [](double sum, std::int64_t rows) { return sum + static_cast<double>(rows); });
  return std::visit(
      [](const auto& s) {
        using S = std::decay_t<decltype(s)>;
        if constexpr (std::is_same_v<S, WgradGrouped>) return static_cast<double>(s.groups * s.k);
        if constexpr (std::is_same_v<S, GroupedGemm> || std::is_same_v<S, GroupedGemmMasked>)
          return static_cast<double>(s.groups * s.m);
        return 0.0;
      },
      r.shape);
}

double speed_of(const CalibrationRow& before, const CalibrationRow& after) {
  const double had = valid_rows(before), has = valid_rows(after);
  return before.us / after.us * (had > 0 && has > 0 ? has / had : 1);
}

}  // namespace

Pairing pair_rows(const std::vector<CalibrationRow>& before, const std::vector<CalibrationRow>& after,
                  const std::string& impl_before, const std::string& impl_after) {
  const auto old_rows = keyed(before, impl_before), new_rows = keyed(after, impl_after);
  std::map<std::pair<std::string, std::string>, PairGroup> groups;
  std::int64_t paired = 0;
  for (const auto& [key, row] : new_rows) {
    const auto partner = old_rows.find(key);
    if (partner == old_rows.end()) continue;
    ++paired;
    PairGroup& g = groups[{key.kernel, key.method}];
    g.kernel = key.kernel, g.method = key.method;
    g.pairs.push_back({partner->second, row, speed_of(partner->second, row)});
  }
  Pairing out;
  out.unpaired_before = static_cast<std::int64_t>(old_rows.size()) - paired;
  out.unpaired_after = static_cast<std::int64_t>(new_rows.size()) - paired;
  for (auto& [name, g] : groups) {
    std::ranges::stable_sort(g.pairs, {}, &Pair::speed);
    double logs = 0;
    for (const Pair& p : g.pairs) logs += std::log(p.speed);
    g.geomean = std::exp(logs / static_cast<double>(g.pairs.size()));
    out.groups.push_back(std::move(g));
  }
  return out;
}

}  // namespace railcast
