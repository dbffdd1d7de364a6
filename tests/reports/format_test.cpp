#include "reports/format.hpp"

#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("numbers are printed with four significant digits and a unit", "[reports][format]") {
  CHECK(duration_text(19.9264) == "19.93 s");
  CHECK(duration_text(0.03128) == "31.28 ms");
  CHECK(duration_text(12.3e-6) == "12.30 us");
  CHECK(duration_text(0) == "0 s");
  CHECK(duration_text(1e-12) == "0.001000 ns");
  CHECK(bytes_text(60.34e9) == "60.3 GB");
  CHECK(bytes_text(80e9) == "80.0 GB");
  CHECK(count_text(272.84e9) == "272.8 B");
  CHECK(count_text(70272) == "70272");
  CHECK(count_text(32.5) == "32.50");
  CHECK(flops_text(2448e9) == "2.448 TFLOP");
  CHECK(percent_text(0.4371) == "43.7 %");
  CHECK(percent_text(-0.0004) == "0.0 %");
  CHECK(percent_text(-0.0006) == "-0.1 %");
}

TEST_CASE("rounding up to the next power of ten does not add a digit", "[reports][format]") {
  CHECK(significant(9.99999, 4) == "10.00");
  CHECK(significant(-0.0999999, 3) == "-0.100");
  CHECK(duration_text(0.999999) == "1.000 s");
  CHECK(bytes_text(999.99e6) == "1.00 GB");
}

TEST_CASE("a metric is printed in its unit", "[reports][format]") {
  CHECK(metric_text("step_time_s", 19.926) == "19.93 s");
  CHECK(metric_text("tokens_per_s", 3.157e6) == "3.157 M");
  CHECK(metric_text("memory.by_category.weights", 2e9) == "2.00 GB");
  CHECK(metric_text("mfu_causal", 0.389) == "38.9 %");
  CHECK(metric_text("kv_bytes_per_token", 70272) == "70272");
}
