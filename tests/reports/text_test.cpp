#include "reports/text.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_metrics.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

bool trailing_space(const std::string& text) { return text.find(" \n") != std::string::npos; }

}  // namespace

TEST_CASE("the forecast leads with the answer and lists each part", "[reports][text]") {
  Scenario s = small_scenario();
  s.expect = {{"step_time_s", "10 ms", "a paper, table 1", 10e-3, 0.2},
              {"phases.bubble_s", "1 ms", "b", 1e-3, 0.2},
              {"phases.forward_s", "1 ms", "c", 1e-3, INFINITY}};
  const std::string text = run_text(s, small_metrics(s), {"the split is assumed"}, false);
  CHECK_THAT(text, ContainsSubstring("9.000 ms a step, 455.1 k tokens/s"));
  CHECK(text.find("9.000 ms a step") < text.find("phases"));
  CHECK_THAT(text, ContainsSubstring("16 small (2 nodes)"));
  CHECK_THAT(text, ContainsSubstring("  forward         2.000 ms  22.2 %\n"));
  CHECK_THAT(text, ContainsSubstring("  bubble          3.000 ms  33.3 %\n"));
  CHECK_THAT(text, ContainsSubstring("  ATTN(B)  6.000 ms  66.7 %  3 ops\n"));
  CHECK_THAT(text, ContainsSubstring("peak 22.0 GB of 80.0 GB, fits\n"));
  CHECK_THAT(text, ContainsSubstring("100.0 % measured, 0.0 % interpolated"));
  CHECK_THAT(text, ContainsSubstring("10.00 ms   -10.0 %  20.0 %  met       a paper, table 1\n"));
  CHECK_THAT(text, ContainsSubstring("+200.0 %  20.0 %  missed    b\n"));
  CHECK_THAT(text, ContainsSubstring("+100.0 %          compared  c\n"));
  CHECK_THAT(text, ContainsSubstring("warning: the split is assumed\n"));
  CHECK_FALSE(trailing_space(text));
  CHECK(text.find('\033') == std::string::npos);
  CHECK(run_text(s, small_metrics(s), {}, true).find('\033') != std::string::npos);
}

TEST_CASE("a schedule without a forecast stays in the table with its reason", "[reports][text]") {
  Scenario s = small_scenario();
  const std::string text = schedules_text(
      {{Schedule::one_f_one_b, small_metrics(s), ""}, {Schedule::interleaved, {}, "vp must divide the layers"}}, false);
  CHECK(text ==
        "schedule     step time    bubble  exposed comm  peak memory  in flight  fits  note\n"
        "one_f_one_b   9.000 ms  3.000 ms           0 s      22.0 GB          2  yes\n"
        "interleaved          -         -             -            -          -  no    vp must divide the layers\n");
}

TEST_CASE("explain groups ops by segment with totals and numbers the sources", "[reports][text]") {
  const Time ms = Time::seconds(1e-3);
  const std::vector<ExplainRow> rows{
      {"ATTN(F)", "q_a_proj", "gemm 4096x1536x7168", 2e9, 3e6, 112, ms, Provenance::measured, "gemm.csv:3"},
      {"ATTN(F)", "norm", "rms_norm 4096x7168", 0, 4e6, 112, ms, Provenance::assumed, "HBM peak"},
      {"DISPATCH(F)", "dispatch", "dispatch 4096", 0, 0, 20, ms, Provenance::assumed, "HBM peak"}};
  const std::string text = explain_text(rows, false);
  CHECK(text ==
        "  op          shape                      FLOPs    bytes  SMs  time alone  provenance  source\n"
        "ATTN(F)\n"
        "    q_a_proj  gemm 4096x1536x7168  2.000 GFLOP  3.00 MB  112    1.000 ms  measured    [1]\n"
        "    norm      rms_norm 4096x7168             -  4.00 MB  112    1.000 ms  assumed     [2]\n"
        "    total                          2.000 GFLOP  7.00 MB         2.000 ms\n"
        "DISPATCH(F)\n"
        "    dispatch  dispatch 4096                  -        -   20    1.000 ms  assumed     [2]\n"
        "    total                                    -        -         1.000 ms\n"
        "all\n"
        "    total                          2.000 GFLOP  7.00 MB         3.000 ms\n"
        "\nsources\n"
        "  [1]  gemm.csv:3\n"
        "  [2]  HBM peak\n");
}
