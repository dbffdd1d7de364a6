#include "model/fold.hpp"

#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("ranks of one colour stay together while their groups look alike", "[model][fold]") {
  CHECK(equitable_colours({0, 0, 0, 0}, {{0, 0, 1, 1}, {0, 1, 0, 1}}) == std::vector<std::uint32_t>{0, 0, 0, 0});
}

TEST_CASE("a rank that differs sets apart its group, and through it theirs", "[model][fold]") {
  // Groups {0,1} {2,3} and {0,2} {1,3}: rank 3 differs, 1 and 2 each meet it in one grouping, 0 in none.
  CHECK(equitable_colours({0, 0, 0, 9}, {{0, 0, 1, 1}, {0, 1, 0, 1}}) == std::vector<std::uint32_t>{0, 1, 2, 3});
  // One grouping only: the other group is untouched.
  CHECK(equitable_colours({0, 0, 0, 9}, {{0, 0, 1, 1}}) == std::vector<std::uint32_t>{0, 0, 1, 2});
}

TEST_CASE("distinct colours are only renumbered", "[model][fold]") {
  CHECK(equitable_colours({7, 5, 7}, {}) == std::vector<std::uint32_t>{0, 1, 0});
}
