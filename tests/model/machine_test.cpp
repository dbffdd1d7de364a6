#include "model/machine.hpp"

#include "tests/catch.hpp"

using namespace railcast;

namespace {
Machine with_table() {
  Machine m;
  m.sms = 132;
  m.hbm = ByteRate(3.35e12);
  m.calibrated_on = {132, FlopRate(1), FlopRate(1), ByteRate(3.35e12)};
  m.copy_rate = {{2, ByteRate(200e9)}, {8, ByteRate(800e9)}, {132, ByteRate(2838e9)}};
  return m;
}
}  // namespace

TEST_CASE("memory rate follows the copy table", "[model][machine]") {
  const Machine m = with_table();
  CHECK(memory_rate(m, 8).per_second() == Approx(800e9));
  CHECK(memory_rate(m, 4).per_second() == Approx(400e9));
  CHECK(memory_rate(m, 1).per_second() == Approx(100e9));
  CHECK(memory_rate(m, 132).per_second() == Approx(2838e9));
  CHECK(memory_rate(m, 64) > memory_rate(m, 32));
}

TEST_CASE("memory rate scales to another chip by SM share and peak", "[model][machine]") {
  Machine m = with_table();
  m.sms = 66;
  m.hbm = ByteRate(6.7e12);
  CHECK(memory_rate(m, 4).per_second() == Approx(1600e9));
}

TEST_CASE("without a table a quarter of the SMs fills the memory", "[model][machine]") {
  Machine m = with_table();
  m.copy_rate.clear();
  CHECK(memory_rate(m, 33).per_second() == Approx(3.35e12));
  CHECK(memory_rate(m, 132).per_second() == Approx(3.35e12));
  CHECK(memory_rate(m, 11).per_second() == Approx(3.35e12 / 3));
}

TEST_CASE("an impl is named for a stem, or for a stem and dtype", "[model][machine]") {
  Machine m;
  m.impl = {{"gemm", "A"}, {"gemm/bf16", "B"}};
  CHECK(impl_for(m, "gemm", Dtype::fp8_block) == "A");
  CHECK(impl_for(m, "gemm", Dtype::bf16) == "B");
  CHECK(impl_for(m, "gate", Dtype::fp32).empty());
}
