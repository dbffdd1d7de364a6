#include "validate/exchange_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "model/collective.hpp"
#include "model/zero_copy.hpp"

namespace railcast {
namespace {

constexpr std::size_t kConstants = 5;
constexpr int kSteps = 4;         // of Gauss-Newton; the last changes no constant by 1 %
constexpr double kStep = 0.05;    // of the numeric derivative, in the logarithm
constexpr double kLargest = 0.5;  // change of a logarithm in one step
// A constant on which the rows hardly depend stays where it is: as if its logarithm had been read to 1, once.
constexpr double kPrior = 0.01;

using Logs = std::array<double, kConstants>;
using Rows = std::vector<double>;

Logs logs_of(const ExchangeKernels& k) {
  return {std::log(k.nvlink_share), std::log(k.nic_share), std::log(k.row.seconds()), std::log(k.message.seconds()),
          std::log(k.start.seconds())};
}

ExchangeKernels with(ExchangeKernels k, const Logs& p) {
  k.nvlink_share = std::exp(p[0]), k.nic_share = std::exp(p[1]);
  k.row = Time::seconds(std::exp(p[2])), k.message = Time::seconds(std::exp(p[3]));
  k.start = Time::seconds(std::exp(p[4]));
  return k;
}

double residual(const Machine& m, const ExchangeKernels& k, const PublishedExchange& p) {
  return std::log(predicted_seconds(m, k, p) / published_seconds(p, m.gpus_per_node));
}

Rows residuals(const Machine& m, const ExchangeKernels& k, const std::vector<PublishedExchange>& rows) {
  Rows r;
  for (const auto& p : rows) r.push_back(residual(m, k, p));
  return r;
}

// Gaussian elimination with pivots; the matrix is positive definite through the prior.
Logs solved(std::array<Logs, kConstants> a, Logs b) {
  for (std::size_t i = 0; i < kConstants; ++i) {
    std::size_t pivot = i;
    for (std::size_t r = i; r < kConstants; ++r)
      if (std::abs(a[r][i]) > std::abs(a[pivot][i])) pivot = r;
    std::swap(a[i], a[pivot]), std::swap(b[i], b[pivot]);
    for (std::size_t r = i + 1; r < kConstants; ++r) {
      const double f = a[r][i] / a[i][i];
      for (std::size_t c = i; c < kConstants; ++c) a[r][c] -= f * a[i][c];
      b[r] -= f * b[i];
    }
  }
  for (std::size_t i = kConstants; i-- > 0;) {
    for (std::size_t c = i + 1; c < kConstants; ++c) b[i] -= a[i][c] * b[c];
    b[i] /= a[i][i];
  }
  return b;
}

/// Columns: the derivative of every residual by the logarithm of a constant.
using Derivatives = std::array<Rows, kConstants>;

Derivatives derivatives(const Machine& m, const ExchangeKernels& k, const std::vector<PublishedExchange>& rows,
                        const Rows& here) {
  Derivatives d;
  for (std::size_t c = 0; c < kConstants; ++c) {
    Logs p = logs_of(k);
    p[c] += kStep;
    d[c] = residuals(m, with(k, p), rows);
    for (std::size_t i = 0; i < here.size(); ++i) d[c][i] = (d[c][i] - here[i]) / kStep;
  }
  return d;
}

/// One step from `k` towards the least squares of all rows but `skip`.
ExchangeKernels step(const ExchangeKernels& k, const ExchangeKernels& prior, const Derivatives& d, const Rows& r,
                     std::size_t skip) {
  std::array<Logs, kConstants> a{};
  Logs b{}, p = logs_of(k);
  const Logs expected = logs_of(prior);
  for (std::size_t i = 0; i < kConstants; ++i) {
    for (std::size_t row = 0; row < r.size(); ++row) {
      if (row == skip) continue;
      for (std::size_t j = 0; j < kConstants; ++j) a[i][j] += d[i][row] * d[j][row];
      b[i] -= d[i][row] * r[row];
    }
    a[i][i] += kPrior * kPrior;
    b[i] -= kPrior * kPrior * (p[i] - expected[i]);
  }
  const Logs change = solved(a, b);
  for (std::size_t i = 0; i < kConstants; ++i) p[i] += std::clamp(change[i], -kLargest, kLargest);
  return with(k, p);
}

double median(std::vector<double> v) {
  std::ranges::sort(v);
  const std::size_t n = v.size();
  return n == 0 ? 0 : n % 2 == 1 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

void summarise(ExchangeFit& f, bool left_out) {
  std::vector<double> all, out;
  for (const auto& r : f.rows) all.push_back(std::abs(r.error)), out.push_back(std::abs(r.error_left_out));
  f.median = median(all), f.largest = *std::ranges::max_element(all);
  if (left_out) f.median_left_out = median(out), f.largest_left_out = *std::ranges::max_element(out);
}

// From the fit to all rows on, with its derivatives: leaving one row out moves little.
double left_out_error(const Machine& m, const std::vector<PublishedExchange>& rows, const ExchangeKernels& all,
                      const ExchangeKernels& prior, const Derivatives& d, const Rows& here, std::size_t skip) {
  ExchangeKernels k = step(all, prior, d, here, skip);
  k = step(k, prior, d, residuals(m, k, rows), skip);
  return std::expm1(residual(m, k, rows[skip]));
}

}  // namespace

double logical_bytes(const PublishedExchange& p, std::int64_t gpus_per_node) {
  if (p.low_latency)
    return static_cast<double>(p.shape.tokens * p.shape.top_k) * message_bytes({p.shape, p.combine, p.nvlink});
  const Reach r = expected_reach(p.shape, gpus_per_node, GroupScore::best);
  const double copies = p.shape.ranks <= gpus_per_node ? r.gpus : r.nodes;
  return static_cast<double>(p.shape.tokens) * copies * row_bytes(p.shape.hidden, p.shape.dtype);
}

double predicted_seconds(const Machine& m, const ExchangeKernels& k, const PublishedExchange& p) {
  if (p.low_latency) return low_latency_exchange(m, k, {p.shape, p.combine, p.nvlink}).total.seconds();
  const auto chunks = default_chunks(p.shape.ranks, m.gpus_per_node, p.combine);
  const NormalExchange e{p.shape, p.combine, GroupScore::best, p.sms, chunks};
  return (p.zero_copy ? zero_copy_exchange(m, k, e) : normal_exchange(m, k, e)).total.seconds();
}

double published_seconds(const PublishedExchange& p, std::int64_t gpus_per_node) {
  return p.is_rate ? logical_bytes(p, gpus_per_node) / p.value : p.value;
}

ExchangeFit fit_exchange(const Machine& m, const std::vector<PublishedExchange>& rows, const ExchangeKernels& start,
                         bool leave_one_out) {
  constexpr auto kNobody = static_cast<std::size_t>(-1);
  ExchangeFit f;
  f.kernels = start;
  Rows here = residuals(m, start, rows);
  Derivatives d;
  for (int i = 0; i < kSteps; ++i) {
    d = derivatives(m, f.kernels, rows, here);
    f.kernels = step(f.kernels, start, d, here, kNobody);
    here = residuals(m, f.kernels, rows);
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    f.rows.push_back({rows[i], std::expm1(here[i]), 0});
    if (leave_one_out) f.rows.back().error_left_out = left_out_error(m, rows, f.kernels, start, d, here, i);
  }
  summarise(f, leave_one_out);
  return f;
}

}  // namespace railcast
