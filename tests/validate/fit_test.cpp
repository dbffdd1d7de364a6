#include "validate/fit.hpp"

#include <cmath>

#include "cli/load_fit.hpp"
#include "cli/load_machine.hpp"
#include "cli/measured.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"
#include "validate/compare.hpp"

using namespace railcast;

namespace {

const std::string kRoot = RAILCAST_SOURCE_DIR;
const MeasuredDefaults kH100{"h100", 132, "DeepGEMM", "fp8_block"};

Machine h100() { return load_machine("h100", kRoot + "/scenarios"); }

/// A kernel of our own making: launch, waves of 128x128 tiles at 70 % of the peak, with 1 % of noise.
std::vector<CalibrationRow> made_rows() {
  std::vector<CalibrationRow> rows;
  const Machine m = h100();
  for (const std::int64_t rows_m : {256, 512, 1024, 2048, 4096, 8192})
    for (const std::int64_t n : {1024, 2048, 4096, 7168})
      for (const std::int64_t k : {1024, 2048, 7168}) {
        const double waves = std::ceil(double(rows_m / 128 * (n / 128)) / 132);
        const double us = 3 + waves * 132 * 2 * 128 * 128 * double(k) / (0.7 * m.fp8_peak.per_second()) * 1e6;
        const double noise = 1 + 0.01 * std::sin(double(rows_m + 3 * n + 7 * k));
        rows.push_back({Gemm{rows_m, n, k, Dtype::fp8_block}, 132, "sustained", "made", us * noise, "here"});
      }
  return rows;
}

Summary judged(const Split& split) {
  return summarize("x", compare_rows(fit(split.fit, h100()), h100(), split.held_out.rows(), "x"));
}

}  // namespace

TEST_CASE("a kernel that is made of waves is forecast within its noise", "[validate][fit]") {
  const Summary s = judged(Split::by_shape(made_rows(), 0.25));
  REQUIRE(s.rows >= 10);
  CHECK(s.median_error < 0.05);
  CHECK(std::abs(s.bias) < 0.05);
  CHECK(s.coverage > 0.7);
}

TEST_CASE("half of 800 timings of another H100 forecast the other half", "[validate][fit][slow]") {
  const Measured sample = load_measured(kRoot + "/validate/published/gemm_h100.csv", kH100);
  REQUIRE(sample.rows.size() == 800);
  const Summary s = judged(Split::by_shape(sample.rows, 0.5));
  CHECK(s.median_error < 0.065);
  CHECK(s.p90_error < 0.19);
  CHECK(s.coverage > 0.85);
  CHECK(s.coverage < 0.95);
}

TEST_CASE("NCCL's timings over 1 MB, its version a key", "[validate][fit]") {
  const Measured sample = load_measured(kRoot + "/validate/published/nccl_h100.csv", kH100);
  REQUIRE(sample.rows.size() == 400);
  const Split split = Split::by_shape(sample.rows, 0.5);
  const Fit f = fit(split.fit, h100());
  REQUIRE(f.families.size() == 1);
  CHECK(f.families[0].words == std::vector<std::string>{"2.23", "2.27.3", "2.29.2", "half", "int8"});
  std::vector<CalibrationRow> large = split.held_out.rows();
  std::erase_if(large, [](const CalibrationRow& r) { return r.us < 15; });
  const Summary s = summarize("x", compare_rows(f, h100(), large, "x"));
  CHECK(s.median_error < 0.06);
  CHECK(s.p90_error < 0.2);
}

TEST_CASE("a fit is the same twice, and comes back from its file as it was", "[validate][fit]") {
  const FitPart part = Split::by_shape(made_rows(), 0).fit;
  const Fit once = fit(part, h100());
  CHECK(fit_json(once) == fit_json(fit(part, h100())));
  const Scratch folder;
  const Fit back = load_fit(folder.write("fit.json", fit_json(once)));
  CHECK(fit_json(back) == fit_json(once));
  const Gemm g{3072, 4096, 4096, Dtype::fp8_block};
  CHECK(estimate(back.families[0], h100(), {g, 132}).us == Approx(estimate(once.families[0], h100(), {g, 132}).us));
}

TEST_CASE("far from the data a forecast is more novel and its interval no narrower", "[validate][fit]") {
  const Fit f = fit(Split::by_shape(made_rows(), 0).fit, h100());
  const Estimated near = estimate(f.families[0], h100(), {Gemm{4096, 4096, 2048, Dtype::fp8_block}, 132});
  const Estimated far = estimate(f.families[0], h100(), {Gemm{1, 130'000, 100'000, Dtype::fp8_block}, 132});
  CHECK(near.novelty < 0.1);
  CHECK(far.novelty > 0.5);
  CHECK(far.spread >= near.spread);
}

TEST_CASE("a chip of twice the rates takes less time, launches and steps as before", "[validate][fit]") {
  const Fit f = fit(Split::by_shape(made_rows(), 0).fit, h100());
  Machine twice = h100();
  twice.fp8_peak = 2 * twice.fp8_peak, twice.hbm = 2 * twice.hbm;
  const Gemm g{8192, 7168, 7168, Dtype::fp8_block};
  const double before = estimate(f.families[0], h100(), {g, 132}).us,
               after = estimate(f.families[0], twice, {g, 132}).us;
  CHECK(after / before > 0.45);
  CHECK(after / before < 0.8);
}
