#include "cli/load_calibration.hpp"

#include <algorithm>

#include "model/scenario.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

const std::string kTables = std::string(RAILCAST_SOURCE_DIR) + "/scenarios/machines/h100/calibration";
const std::string kHeader = "# device: D\n# driver: 1\n# source: S\n# date: 2026-01-01\n# provenance: measured\n";
const std::string kColumns = "m,n,k,dtype,sms,method,impl,us\n";
const std::string kRow = "64,128,256,fp8_block,132,cool,X,5\n";

std::vector<CalibrationRow> load(const std::string& text, const std::string& name = "gemm.csv") {
  const Scratch s;
  return load_calibration_file(s.write(name, text));
}

void refused(const std::string& row, const std::string& message) {
  CHECK_THROWS_WITH(load(kHeader + kColumns + kRow + row), ContainsSubstring(message));
}

}  // namespace

TEST_CASE("a table's rows become shapes", "[cli][calibration]") {
  const auto rows = load(kHeader + kColumns + kRow);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].shape == Shape(Gemm{64, 128, 256, Dtype::fp8_block}));
  CHECK(rows[0].sms == 132);
  CHECK(rows[0].method == "cool");
  CHECK(rows[0].impl == "X");
  CHECK(rows[0].us == 5);
  CHECK_THAT(rows[0].where, ContainsSubstring("gemm.csv:7 (D, 2026-01-01)"));
  const auto flags = load(
      kHeader + "rows,cols,backward,quantize,dtype,sms,method,impl,us\n8,64,1,0,bf16,1,cool,X,1e-1\n", "swiglu.csv");
  CHECK(flags.at(0).shape == Shape(SwiGlu{8, 64, true, false}));
}

TEST_CASE("the carried tables load, with the anchors' rows", "[cli][calibration]") {
  const auto rows = load_calibration(kTables);
  CHECK(rows.size() > 500);
  const auto anchor = std::find_if(rows.begin(), rows.end(), [](const CalibrationRow& r) {
    return r.shape == Shape(Gemm{4096, 4096, 7168, Dtype::fp8_block}) && r.sms == 112;
  });
  REQUIRE(anchor != rows.end());
  CHECK(anchor->us == Approx(219.808));
  CHECK(load_copy_rate(kTables + "/copy.csv").at(24).per_second() == Approx(2165e9).epsilon(0.01));
  CHECK(load_pairs(kTables + "/gemm_beside_copy.csv").size() == 10);
}

TEST_CASE("a bad row is refused by file and line", "[cli][calibration]") {
  refused("64,128,256,fp8_block,132,cool,Y,nan\n", "gemm.csv:8: column us is nan; expected more than 0");
  refused("64,128,256,fp8_block,132,cool,Y,-1\n", "gemm.csv:8: column us is -1");
  refused("64,128,256,fp8_block,132,cool,Y,inf\n", "column us is inf");
  refused("64,-128,256,fp8_block,132,cool,Y,1\n", "column n is -128; expected at least 1");
  refused("64,128,256,fp8_block,132,cool,Y\n", "gemm.csv:8: expected 8 cells, found 7; is the file truncated?");
  refused("64,128,256,fp8_block,132,cool,Y,1", "gemm.csv:8: the last line has no end");
  refused(kRow, "gemm.csv:8: this key stands twice");
  refused("64,128,256,fp8_block,132,cool,X,6\n", "this key stands twice");
  refused("64,128,256,fp8,132,cool,X,6\n", "column dtype is \"fp8\"; expected one of bf16, fp8_block");
  refused("64,128,256,fp8_block,132,cold,X,6\n", "did you mean \"cool\"?");
  refused("64,128,2x6,fp8_block,132,cool,X,6\n", "the cell \"2x6\" of column k is not a number");
  refused("\n", "expected 8 cells, found 1");
}

TEST_CASE("a bad header is refused", "[cli][calibration]") {
  CHECK_THROWS_WITH(load("# device: D\n" + kColumns), ContainsSubstring("no \"# driver: ...\" line"));
  CHECK_THROWS_WITH(load(kHeader + "m,k,n,dtype,sms,method,impl,us\n"),
                    ContainsSubstring("expected the columns m, n, k, dtype, sms, method, impl, us; found m, k, n"));
  CHECK_THROWS_WITH(load(kHeader + kColumns, "gem.csv"), ContainsSubstring("did you mean \"gemm\"?"));
  CHECK_THROWS_WITH(
      load(kHeader + "tokens,rows,cols,dtype,sms,method,impl,us\n8,8,8,fp8_block,1,cool,X,1\n", "unpermute.csv"),
      ContainsSubstring("expected one of bf16"));
}
