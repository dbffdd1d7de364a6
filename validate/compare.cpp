#include "validate/compare.hpp"

#include <algorithm>
#include <cmath>

namespace railcast {

constexpr std::size_t kRestsOn = 6;

double quantile(std::vector<double> v, double q) {
  if (v.empty()) return 0;
  std::ranges::sort(v);
  const double x = q * static_cast<double>(v.size() - 1);
  const auto i = static_cast<std::size_t>(x);
  return i + 1 < v.size() ? v[i] + (x - static_cast<double>(i)) * (v[i + 1] - v[i]) : v.back();
}

bool Case::broken() const { return within > 0 && std::abs(error()) > within; }

Summary summarize(const std::string& suite, const std::vector<Case>& cases) {
  Summary s;
  s.suite = suite;
  std::vector<double> errors;
  double inside = 0;
  for (const Case& c : cases) {
    if (c.suite != suite) continue;
    s.broken += c.broken();
    if (c.fitted) continue;
    errors.push_back(std::abs(c.error()));
    s.bias += c.error();
    if (c.has_interval()) ++s.with_interval, inside += c.inside();
  }
  s.rows = static_cast<std::int64_t>(errors.size());
  if (s.rows > 0) s.bias /= static_cast<double>(s.rows);
  if (s.with_interval > 0) s.coverage = inside / static_cast<double>(s.with_interval);
  s.median_error = quantile(errors, 0.5), s.p90_error = quantile(errors, 0.9);
  return s;
}

std::vector<Case> compare_rows(const Fit& f, const Machine& m, const std::vector<CalibrationRow>& rows,
                               const std::string& suite, std::vector<std::string>* left_out) {
  std::vector<Case> cases;
  for (const CalibrationRow& r : rows) {
    const std::string impl = impl_and_variant(r.impl).first;
    const FittedFamily* const family = f.find(fit_family(r.shape), impl, r.method);
    if (family == nullptr) {
      if (left_out != nullptr) left_out->push_back(r.where + ": no fit of " + fit_family(r.shape) + " by " + impl);
      continue;
    }
    const Estimated e = estimate(*family, m, problem_of(r));
    Case c;
    c.suite = suite;
    c.id = describe(r.shape) + " on " + std::to_string(r.sms) + " SMs, " + r.method + ", " + r.impl;
    c.source = r.where, c.unit = "us", c.metric = "time";
    c.forecast = e.us, c.low = e.us * std::exp(-e.spread), c.high = e.us * std::exp(e.spread), c.truth = r.us;
    c.rests_on = neighbours(*family, m, problem_of(r), kRestsOn);
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace railcast
