#include "sim/units.hpp"

#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("an amount over a rate is a time in whole picoseconds", "[sim][units]") {
  CHECK(Bytes(7392) / ByteRate(50e9) == Time::ps(147'840));
  CHECK(Flops(1e12) / FlopRate(1e15) == Time::seconds(1e-3));
}

TEST_CASE("a time that is not a number is refused", "[sim][units]") {
  CHECK_THROWS_AS(Bytes(1) / ByteRate(0), std::domain_error);
  CHECK_THROWS_AS(Bytes(0) / ByteRate(0), std::domain_error);
  CHECK_THROWS_AS(Time::seconds(1e12), std::domain_error);
}
