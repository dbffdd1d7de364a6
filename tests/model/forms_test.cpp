#include "model/forms.hpp"

#include <algorithm>

#include "cli/load_machine.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

Values of(const Shape& shape, const GemmTile& tile, std::vector<std::int64_t> group_rows = {}) {
  static const Machine machine = load_machine("h100", std::string(RAILCAST_SOURCE_DIR) + "/scenarios");
  return features(machine, {shape, 132, "", tile, std::move(group_rows)}, tile);
}

}  // namespace

TEST_CASE("a wgrad by group has the steps of its tokens, however they are shared out", "[model][forms]") {
  const WgradGrouped shape{4, 4096, 7168, 8192, Dtype::fp8_block};
  const GemmTile tile{256, 128, 2, 1};
  const Values equal = of(shape, tile);
  CHECK(of(shape, tile, {8192, 8192, 8192, 8192}) == equal);
  CHECK(of(shape, tile, {4096, 12288, 8192, 8192}) == equal);
  const Values fewer = of(shape, tile, {6912, 8448, 7552, 8704});
  constexpr std::size_t kSteps = 2;  // in whole waves
  CHECK(of(shape, {128, 128, 1, 2}, {8192, 8192, 8192, 8192}) == of(shape, {128, 128, 1, 2}));
  CHECK(fewer.at(kSteps) == Approx(equal.at(kSteps) * (6912 + 8448 + 7552 + 8704) / (4 * 8192)));
}

TEST_CASE("a step of 128x160 is five sixths of one of 128x192", "[model][forms]") {
  const GroupedGemmMasked shape{1, 128, 960, 7168, Dtype::fp8_block};  // six tiles of 160 columns, five of 192
  const Values narrow = of(shape, {128, 160, 1, 1}), wide = of(shape, {128, 192, 1, 1});
  REQUIRE(narrow.size() == wide.size());
  // The prices of steps by tile come last; both have the same steps of one wave.
  constexpr std::ptrdiff_t kOwn = 8;
  const auto steps = [](const Values& f) { return *std::max_element(f.end() - kOwn, f.end()); };
  CHECK(steps(narrow) == Approx(steps(wide) * 160 / 192));
  CHECK(std::count(narrow.end() - kOwn, narrow.end(), 0.0) == kOwn - 1);
}
