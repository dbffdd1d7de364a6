#include "validate/own_exchange_fit.hpp"

#include <algorithm>
#include <array>

#include "validate/least_squares.hpp"
#include "validate/split.hpp"

namespace railcast {
namespace {

constexpr double kShare = 0.3, kKnee = 0.03;
constexpr int kRounds = 20;

/// Seconds are the product with {start, peer, an SM's seconds per byte here and there, NVLink's and the memory's
/// seconds per byte at full rate}: the bounds' columns are 2 and 3 together, 4, 5.
constexpr Eigen::Index kColumns = 6;
using Row = std::array<double, kColumns>;

Row columns(const Machine& m, const OwnExchange& e) {
  const OwnBytes b = own_bytes(e);
  const double sms = e.low_latency ? double(m.sms) : double(e.sms), all = b.local + b.remote + b.tokens;
  const bool by_sm = !e.low_latency;
  return {1,
          e.gpus > 1 ? 1.0 : 0.0,
          by_sm ? b.local / sms : 0,
          by_sm ? b.remote / sms : 0,
          b.remote / m.nvlink.per_second(),
          all / memory_rate(m, std::int64_t(sms)).per_second()};
}

/// Only the largest bound's columns stay.
Row bounded(Row r, const Eigen::VectorXd& x) {
  const double sm = r[2] * x(2) + r[3] * x(3), nvlink = r[4] * x(4), memory = r[5] * x(5);
  const double most = std::max({sm, nvlink, memory});
  if (sm < most) r[2] = r[3] = 0;
  if (nvlink < most) r[4] = 0;
  if (memory < most) r[5] = 0;
  return r;
}

OwnKernel kernel_of(const Eigen::VectorXd& x) {
  const auto rate = [](double seconds) { return ByteRate(seconds > 0 ? 1 / seconds : 0); };
  const auto share = [](double seconds) { return seconds > 0 ? 1 / seconds : 1.0; };  // 1: no row was bound by it
  return {Time::seconds(x(0)), Time::seconds(x(1)), rate(x(2)), rate(x(3)), share(x(4)), share(x(5))};
}

OwnKernel fit_kernel(const Machine& m, const std::vector<const OwnRow*>& rows) {
  Eigen::VectorXd x(kColumns), us(static_cast<Eigen::Index>(rows.size()));
  x << 5e-6, 5e-6, 1 / 60e9, 1 / 45e9, 1 / 0.75, 1;  // where it begins: round numbers of each one's size
  Eigen::MatrixXd a(us.size(), kColumns);
  if (rows.front()->exchange.low_latency) x(2) = x(3) = 0;  // never the bound
  for (int round = 0; round < kRounds; ++round) {
    for (Eigen::Index i = 0; i < us.size(); ++i) {
      const OwnRow& row = *rows[static_cast<std::size_t>(i)];
      const Row r = bounded(columns(m, row.exchange), x);
      us(i) = row.us * 1e-6;
      for (Eigen::Index c = 0; c < kColumns; ++c) a(i, c) = r[static_cast<std::size_t>(c)];
    }
    const Eigen::VectorXd next = robust_relative(a, us, kKnee);
    for (Eigen::Index c = 0; c < kColumns; ++c)
      if (c < 2 || next(c) > 0) x(c) = next(c);  // a bound that no row meets now stays where it was
  }
  return kernel_of(x);
}

}  // namespace

std::string describe(const OwnRow& r) {
  const OwnExchange& e = r.exchange;
  return std::string(e.low_latency ? "low-latency " : "") + (e.combine ? "combine" : "dispatch") + ", " +
         std::to_string(e.shape.ranks) + " ranks on " + std::to_string(e.gpus) + (e.gpus > 1 ? " GPUs, " : " GPU, ") +
         std::to_string(e.shape.tokens) + " tokens" + (e.low_latency ? "" : ", " + std::to_string(e.sms) + " SMs");
}

bool held_out(const OwnRow& r) { return double(hash_of(describe(r)) % 1000) < 1000 * kShare; }

OwnExchangeKernels fit_own_exchange(const Machine& m, const std::vector<OwnRow>& rows) {
  const auto fitted = [&](bool low_latency, bool combine) {
    std::vector<const OwnRow*> some;
    for (const OwnRow& r : rows)
      if (!held_out(r) && r.exchange.low_latency == low_latency && r.exchange.combine == combine) some.push_back(&r);
    return fit_kernel(m, some);
  };
  OwnExchangeKernels k;
  k.dispatch = fitted(false, false), k.combine = fitted(false, true);
  k.low_latency_dispatch = fitted(true, false), k.low_latency_combine = fitted(true, true);
  return k;
}

}  // namespace railcast
