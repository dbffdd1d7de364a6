#include "validate/own_exchange_fit.hpp"

#include <cstdio>
#include <iostream>

#include "cli/load_machine.hpp"
#include "cli/load_own_exchange.hpp"
#include "tests/catch.hpp"
#include "validate/compare.hpp"
#include "validate/exchange_fit.hpp"

using namespace railcast;

namespace {

const std::string kRoot = RAILCAST_SOURCE_DIR;

Machine h100() { return load_machine("h100", kRoot + "/scenarios"); }

double error(const Machine& m, const OwnExchangeKernels& k, const OwnRow& r) {
  return own_exchange(m, k, r.exchange).total.seconds() / (r.us * 1e-6) - 1;
}

/// What the constants of DeepEP's kernels say, where they say anything: a rank a GPU.
std::string before(const Machine& m, const OwnRow& r) {
  const OwnExchange& e = r.exchange;
  if (e.shape.ranks != e.gpus) return "-";
  PublishedExchange p;
  p.shape = e.shape, p.combine = e.combine, p.low_latency = e.low_latency, p.sms = e.sms;
  char text[16];
  std::snprintf(text, sizeof text, "%+.0f", 100 * (predicted_seconds(m, m.exchange, p) / (r.us * 1e-6) - 1));
  return text;
}

void print(const char* name, const OwnKernel& k) {
  std::printf(
      "%s: start %.3f us, peer %.3f us, local_sm %.2f GB/s, remote_sm %.2f GB/s, nvlink %.2f %%, memory %.2f %%\n",
      name, k.start.seconds() * 1e6, k.peer.seconds() * 1e6, k.local_sm.per_second() / 1e9,
      k.remote_sm.per_second() / 1e9, 100 * k.nvlink_share, 100 * k.memory_share);
}

void check_same(const OwnKernel& a, const OwnKernel& b) {
  CHECK(a.start.seconds() == Approx(b.start.seconds()).epsilon(0.02).margin(2e-8));
  CHECK(a.peer.seconds() == Approx(b.peer.seconds()).epsilon(0.02).margin(2e-8));
  CHECK(a.local_sm.per_second() == Approx(b.local_sm.per_second()).epsilon(0.01));
  CHECK(a.remote_sm.per_second() == Approx(b.remote_sm.per_second()).epsilon(0.01));
  CHECK(a.nvlink_share == Approx(b.nvlink_share).epsilon(0.01));
  CHECK(a.memory_share == Approx(b.memory_share).epsilon(0.01));
}

}  // namespace

TEST_CASE("our exchange's constants are the fit of its rows, and foretell those held out", "[validate][own_exchange]") {
  const Machine m = h100();
  const auto rows = load_own_rows(kRoot + "/validate/measured");
  const OwnExchangeKernels k = fit_own_exchange(m, rows);
  print("dispatch", k.dispatch), print("combine", k.combine);
  print("low_latency_dispatch", k.low_latency_dispatch), print("low_latency_combine", k.low_latency_combine);
  std::vector<double> fitted, judged;
  for (const OwnRow& r : rows) {
    const double e = error(m, k, r);
    (held_out(r) ? judged : fitted).push_back(std::abs(e));
    std::printf("%-52s %8.1f us  before %5s %%  after %+5.1f %%  %s\n", describe(r).c_str(), r.us, before(m, r).c_str(),
                100 * e, held_out(r) ? "held out" : "fitted");
  }
  std::printf("fitted %zu: median %.1f %%, largest %.1f %%; held out %zu: median %.1f %%, largest %.1f %%\n",
              fitted.size(), 100 * quantile(fitted, 0.5), 100 * quantile(fitted, 1), judged.size(),
              100 * quantile(judged, 0.5), 100 * quantile(judged, 1));
  REQUIRE(fitted.size() > 40);
  REQUIRE(judged.size() > 12);
  CHECK(quantile(judged, 0.5) < 0.05);
  CHECK(quantile(judged, 1) < 0.15);
  check_same(m.own_exchange.dispatch, k.dispatch), check_same(m.own_exchange.combine, k.combine);
  check_same(m.own_exchange.low_latency_dispatch, k.low_latency_dispatch);
  check_same(m.own_exchange.low_latency_combine, k.low_latency_combine);
}
