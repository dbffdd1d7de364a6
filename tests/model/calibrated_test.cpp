#include <algorithm>
#include <cmath>

#include "cli/load_calibration.hpp"
#include "cli/load_machine.hpp"
#include "model/cost.hpp"
#include "model/floor.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

Machine machine(const char* name) { return load_machine(name, std::string(RAILCAST_SOURCE_DIR) + "/scenarios"); }

std::unique_ptr<CostModel> costs(const char* name) {
  const Machine m = machine(name);
  return calibrated(m, load_calibration(m.calibration));
}

// The rows a step uses of one family, sustained.
std::vector<CalibrationRow> sustained(const Machine& m, const std::string& of_family) {
  auto rows = load_calibration(m.calibration);
  std::erase_if(rows, [&](const CalibrationRow& r) {
    return r.method != "sustained" || family(r.shape) != of_family ||
           r.impl != impl_for(m, stem(r.shape), dtype_of(r.shape));
  });
  return rows;
}

// Mean relative error of each row forecast from the others.
double leave_one_out(const std::string& of_family) {
  const Machine m = machine("h100");
  const auto rows = sustained(m, of_family);
  double sum = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto others = rows;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    const double us = calibrated(m, others)->cost(rows[i].shape, rows[i].sms).total().seconds() * 1e6;
    sum += std::abs(us / rows[i].us - 1);
  }
  return sum / static_cast<double>(rows.size());
}

Machine toy() {
  Machine m;
  m.sms = 100;
  m.bf16_peak = FlopRate(1e15);
  m.fp8_peak = FlopRate(2e15);
  m.hbm = ByteRate(3e12);
  m.calibrated_on = m.chip();
  m.kernel_launch = Time::ps(1'000'000);
  m.impl = {{"gemm", "X"}, {"add", "X"}};
  return m;
}

CalibrationRow row(const Shape& s, const char* method, double us) { return {s, 100, method, "X", us, "here"}; }

}  // namespace

TEST_CASE("a row comes back exactly, as measured", "[model][calibrated]") {
  const auto h800 = costs("h800");
  const Machine m = machine("h800");
  int seen = 0;
  for (const auto& r : load_calibration(m.calibration)) {
    if (r.method != "sustained" || r.impl != impl_for(m, stem(r.shape), dtype_of(r.shape))) continue;
    const Cost c = h800->cost(r.shape, r.sms);
    CHECK(c.total().seconds() == Approx(r.us * 1e-6).epsilon(1e-9));
    CHECK(c.provenance == Provenance::measured);
    CHECK(c.source == r.where);
    ++seen;
  }
  CHECK(seen > 150);
}

TEST_CASE("a cost says whether rows of our own kernels carry it", "[model][calibrated]") {
  const auto h100 = costs("h100");
  CHECK(h100->cost(Quantize{4096, 7168}, 132).own);                            // a row
  CHECK(h100->cost(Quantize{5120, 7168}, 132).own);                            // between rows
  CHECK_FALSE(h100->cost(Quantize{64, 128}, 132).own);                         // beyond them
  CHECK_FALSE(h100->cost(Gemm{4096, 4096, 7168, Dtype::fp8_block}, 132).own);  // a peer's
  CHECK_FALSE(costs("h20")->cost(Quantize{4096, 7168}, 78).own);               // another chip
}

TEST_CASE("between two rows lies between them", "[model][calibrated]") {
  const auto h100 = costs("h100");
  const auto rate = [&](std::int64_t m) {
    const Gemm g{m, 7168, 2048, Dtype::fp8_block};
    return flops(g) / h100->cost(g, 132).total().seconds();
  };
  // 6144 has 48 x 56 tiles, 20.4 waves of 132: as full as 4096 (13.6) and 8192 (27.2).
  CHECK(rate(6144) > std::min(rate(4096), rate(8192)) * 0.97);
  CHECK(rate(6144) < std::max(rate(4096), rate(8192)) * 1.03);
  CHECK(h100->cost(Gemm{6144, 7168, 2048, Dtype::fp8_block}, 132).provenance == Provenance::interpolated);
  const double few = h100->cost(Gemm{4096, 4096, 7168, Dtype::fp8_block}, 110).total().seconds();
  CHECK(few > 180e-6);
  CHECK(few < 270e-6);
}

TEST_CASE("with two rows the interpolation is bounded by both", "[model][calibrated]") {
  const Shape small = Add{1024, 4096}, large = Add{16384, 4096};
  const auto c = calibrated(toy(), {row(small, "sustained", 20), row(large, "sustained", 200)});
  const auto efficiency = [&](std::int64_t rows) {
    return hbm_bytes(Add{rows, 4096}) / c->cost(Add{rows, 4096}, 100).work.seconds();
  };
  double last = efficiency(1024);
  for (const std::int64_t rows : {2048, 4096, 8192, 16384}) {
    CHECK(efficiency(rows) > last);
    last = efficiency(rows);
  }
  CHECK(c->cost(Add{4096, 4096}, 100).provenance == Provenance::interpolated);
  CHECK(c->cost(Add{512, 4096}, 100).provenance == Provenance::extrapolated);
  CHECK(c->cost(Add{32768, 4096}, 100).provenance == Provenance::extrapolated);
}

TEST_CASE("a cool row is brought to sustained by the ratio of those with both", "[model][calibrated]") {
  const Shape a = Gemm{4096, 4096, 4096}, b = Gemm{8192, 4096, 4096};
  const auto c = calibrated(toy(), {row(a, "cool", 200), row(a, "sustained", 250), row(b, "cool", 400)});
  CHECK(c->cost(a, 100).total().seconds() == Approx(250e-6));
  CHECK(c->cost(b, 100).total().seconds() == Approx(500e-6));
  CHECK(c->cost(b, 100).provenance == Provenance::interpolated);
  CHECK_THAT(c->cost(b, 100).source, ContainsSubstring("here x 1.25") && ContainsSubstring("cool to sustained"));
}

TEST_CASE("without rows of its impl a shape says that it is assumed", "[model][calibrated]") {
  const auto h100 = costs("h100");
  const Cost add = h100->cost(Add{4096, 8192}, 132);
  CHECK(add.provenance == Provenance::assumed);
  CHECK_THAT(add.source, ContainsSubstring("copy.csv"));
  CHECK(add.work.seconds() == Approx(hbm_bytes(Add{4096, 8192}) / 2838.4e9).epsilon(1e-3));
  const Cost wgrad = h100->cost(Wgrad{4096, 4096, 4096, Dtype::bf16}, 132);  // as BF16 GEMMs, not at the peak
  CHECK(wgrad.provenance == Provenance::assumed);
  CHECK(flops(Wgrad{4096, 4096, 4096}) / wgrad.total().seconds() < 800e12);
  CHECK(calibrated(toy(), {})->cost(Add{64, 64}, 100).provenance == Provenance::assumed);
}

TEST_CASE("another chip scales by its peaks and says extrapolated", "[model][calibrated]") {
  const Gemm g{8192, 8192, 8192, Dtype::fp8_block};
  const RmsNorm n{8192, 7168, false};
  const auto h100 = costs("h100"), h200 = costs("h200"), b200 = costs("b200");
  CHECK(h200->cost(g, 132).provenance == Provenance::extrapolated);
  CHECK(h200->cost(g, 132).total().seconds() == Approx(h100->cost(g, 132).total().seconds()).epsilon(0.02));
  CHECK(h200->cost(n, 132).work.seconds() == Approx(h100->cost(n, 132).work.seconds() * 3.35 / 4.8).epsilon(1e-6));
  CHECK(b200->cost(g, 148).work.seconds() == Approx(h100->cost(g, 132).work.seconds() * 1979 / 4500).epsilon(0.1));
  CHECK(costs("h20")->cost(g, 78).provenance == Provenance::extrapolated);
}

TEST_CASE("fewer SMs never help a kernel measured on all of them only", "[model][calibrated]") {
  const auto h100 = costs("h100");
  const Shape shapes[] = {Wgrad{7168, 16384, 4096, Dtype::fp8_block}, RmsNorm{4096, 7168, false},
                          Attention{1, 4096, 4096, 128, 128, 192, 128, true, true}, Gate{4096, 256, 8, 8, false}};
  for (const Shape& s : shapes) {
    INFO(describe(s));
    const double all = h100->cost(s, 132).total().seconds(), fewer = h100->cost(s, 112).total().seconds();
    CHECK(fewer >= all);
    CHECK(fewer < all * 132 / 112);  // at the power cap the clock makes up for some
    CHECK(h100->cost(s, 20).total().seconds() > 1.3 * all);
  }
}

TEST_CASE("leave-one-out error of the GEMM tables", "[model][calibrated]") {
  // Mean: fp8_block 6.8 %, bf16 6.4 %, fp8_tensor 5.4 %, grouped 5.7 %, wgrad 4.3 %, grouped wgrad 4.6 %, masked 6.3 %.
  CHECK(leave_one_out("gemm/fp8_block") < 0.08);
  CHECK(leave_one_out("gemm/bf16") < 0.08);
  CHECK(leave_one_out("gemm/fp8_tensor") < 0.07);
  CHECK(leave_one_out("grouped_gemm_contiguous/fp8_block") < 0.07);
  CHECK(leave_one_out("wgrad/fp8_block") < 0.05);
}

TEST_CASE("power explains how a GEMM and a copy that fit in HBM slow each other", "[model][calibrated][power]") {
  // Two ops at equal weight that draw d1 + d2 > 1 of one resource both run at 1 / (d1 + d2) of full speed.
  const Machine m = machine("h100");
  const auto h100 = calibrated(m, load_calibration(m.calibration));
  double products = 0, squares = 0;
  for (const PairRow& p : load_pairs(m.calibration + "/gemm_beside_copy.csv")) {
    const double copy = p.copy_alone_gb_s * 1e9 / memory_rate(m, m.sms).per_second();
    const Cost gemm = h100->cost(p.gemm, p.gemm_sms);
    CHECK(gemm.drawn(Draw::power) == 1);
    if (gemm.drawn(Draw::hbm) + copy > 1) continue;
    const double slowed = std::sqrt(p.together_us / p.alone_us * p.copy_alone_gb_s / p.copy_together_gb_s);
    products += (slowed - 1) * copy;
    squares += copy * copy;
    INFO(describe(p.gemm) << " on " << p.gemm_sms << " beside a copy on " << p.copy_sms << ": " << slowed);
    CHECK(gemm.drawn(Draw::power) + kPowerPerHbm * copy == Approx(slowed).epsilon(0.08));
  }
  CHECK(products / squares == Approx(kPowerPerHbm).margin(0.005));
}
