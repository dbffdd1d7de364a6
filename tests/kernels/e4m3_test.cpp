#include "kernels/e4m3.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/catch.hpp"

using namespace railcast::kernels;

namespace {

/// The nearest code by search over all of them, ties to the even code.
std::uint8_t nearest_by_search(float x) {
  int best = 0;
  for (int code = 0; code < 0x7f; ++code) {
    const float here = std::fabs(float_from_e4m3(static_cast<std::uint8_t>(code)) - std::fabs(x));
    const float there = std::fabs(float_from_e4m3(static_cast<std::uint8_t>(best)) - std::fabs(x));
    if (here < there || (here == there && code % 2 == 0)) best = code;
  }
  return static_cast<std::uint8_t>(best | (std::signbit(x) ? 0x80 : 0));
}

}  // namespace

TEST_CASE("every E4M3 code survives the round trip", "[kernels][e4m3]") {
  for (int code = 0; code < 256; ++code) {
    const auto c = static_cast<std::uint8_t>(code);
    if (c != 0xff) CHECK(int{e4m3_from_float(float_from_e4m3(c))} == int{c});  // one NaN comes back, 0x7f
  }
}

TEST_CASE("E4M3 has the values of the OCP table", "[kernels][e4m3]") {
  CHECK(float_from_e4m3(0x01) == 0x1p-9F);
  CHECK(float_from_e4m3(0x07) == 7 * 0x1p-9F);
  CHECK(float_from_e4m3(0x08) == 0x1p-6F);
  CHECK(float_from_e4m3(0x38) == 1.0F);
  CHECK(float_from_e4m3(0x7e) == 448.0F);
  CHECK(std::isnan(float_from_e4m3(0x7f)));
  CHECK(std::isnan(float_from_e4m3(0xff)));
}

TEST_CASE("quantisation rounds to nearest even, also halfway and in denormals", "[kernels][e4m3]") {
  std::vector<float> points;
  for (int code = 0; code < 0x7e; ++code) {
    const float low = float_from_e4m3(static_cast<std::uint8_t>(code));
    const float high = float_from_e4m3(static_cast<std::uint8_t>(code + 1));
    const float middle = (low + high) / 2;
    points.insert(points.end(), {low, middle, std::nextafter(middle, 0.0F), std::nextafter(middle, 1e9F)});
  }
  for (const float x : points) {
    CHECK(int{e4m3_from_float(x)} == int{nearest_by_search(x)});
    CHECK(int{e4m3_from_float(-x)} == int{nearest_by_search(-x)});
  }
}

TEST_CASE("quantisation saturates, and keeps NaN and the sign of zero", "[kernels][e4m3]") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(int{e4m3_from_float(449.0F)} == 0x7e);
  CHECK(int{e4m3_from_float(infinity)} == 0x7e);
  CHECK(int{e4m3_from_float(-infinity)} == 0xfe);
  CHECK((e4m3_from_float(std::nanf("")) & 0x7f) == 0x7f);
  CHECK(int{e4m3_from_float(-0.0F)} == 0x80);
  CHECK(int{e4m3_from_float(0x1p-11F)} == 0);
}
