#include "validate/split.hpp"

#include <set>
#include <type_traits>

#include "tests/catch.hpp"
#include "validate/fit.hpp"

using namespace railcast;

// The fitter takes the fit part and nothing else, and nobody makes one but split.
static_assert(std::is_invocable_v<decltype(fit), const FitPart&, const Machine&>);
static_assert(!std::is_invocable_v<decltype(fit), const HeldOut&, const Machine&>);
static_assert(!std::is_invocable_v<decltype(fit), const std::vector<CalibrationRow>&, const Machine&>);
static_assert(!std::is_constructible_v<FitPart, std::vector<CalibrationRow>>);
static_assert(!std::is_convertible_v<HeldOut, FitPart>);

namespace {

std::vector<CalibrationRow> grid() {
  std::vector<CalibrationRow> rows;
  for (std::int64_t m = 64; m <= 4096; m += 64)
    for (const char* method : {"cool", "sustained"})
      for (const std::int64_t sms : {112, 132}) rows.push_back({Gemm{m, 4096, 4096}, sms, method, "X", 1, ""});
  return rows;
}

std::set<std::string> shapes(const std::vector<CalibrationRow>& rows) {
  std::set<std::string> all;
  for (const auto& r : rows) all.insert(describe(r.shape));
  return all;
}

}  // namespace

TEST_CASE("a shape is fitted or held out, with all its rows", "[validate][split]") {
  const Split s = Split::by_shape(grid(), 0.25);
  CHECK(s.fit.rows().size() + s.held_out.rows().size() == grid().size());
  for (const auto& shape : shapes(s.held_out.rows())) CHECK(shapes(s.fit.rows()).count(shape) == 0);
  const double share = double(s.held_out.rows().size()) / double(grid().size());
  CHECK(share > 0.1);
  CHECK(share < 0.4);
}

TEST_CASE("the split is the same on every machine", "[validate][split]") {
  CHECK(hash_of("gemm 64x4096x4096 bf16") == 0xa17fea4e33724050ULL);
  CHECK(Split::by_shape(grid(), 0).held_out.rows().empty());
}

TEST_CASE("no fit row has an SM count that is held out, and all SMs are fitted", "[validate][split]") {
  std::vector<CalibrationRow> rows;
  for (std::int64_t sms = 64; sms <= 132; sms += 4)
    rows.push_back({Gemm{4096, 4096, 4096}, sms, "sustained", "X", 1, ""});
  const Split s = Split::by_sms(rows, 0.5, 132);
  CHECK(s.held_out.rows().size() > 3);
  for (const auto& held : s.held_out.rows()) {
    CHECK(held.sms != 132);
    for (const auto& fitted : s.fit.rows()) CHECK(fitted.sms != held.sms);
  }
}
