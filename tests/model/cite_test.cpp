#include "model/cite.hpp"

#include "tests/catch.hpp"

using railcast::cite;

namespace {

std::string cited(std::initializer_list<const char*> rows) {
  std::string sources;
  for (const char* row : rows) cite(sources, row);
  return sources;
}

}  // namespace

TEST_CASE("rows of one file and card are cited together", "[model][cite]") {
  CHECK(cited({"t.csv:3 (card, day)"}) == "t.csv:3 (card, day)");
  CHECK(cited({"t.csv:3 (card)", "t.csv:25 (card)", "t.csv:4 (card)"}) == "t.csv:3,25,4 (card)");
  CHECK(cited({"t.csv:3", "t.csv:5"}) == "t.csv:3; t.csv:5");
}

TEST_CASE("another file, another card and another correction stand apart", "[model][cite]") {
  CHECK(cited({"t.csv:3 (card)", "u.csv:3 (card)"}) == "t.csv:3 (card); u.csv:3 (card)");
  CHECK(cited({"t.csv:3 (card)", "t.csv:5 (other card)"}) == "t.csv:3 (card); t.csv:5 (other card)");
  CHECK(cited({"t.csv:3 (card) x 0.9 (cool)", "t.csv:5 (card)"}) == "t.csv:3 (card) x 0.9 (cool); t.csv:5 (card)");
  CHECK(cited({"t.csv:3 (a)", "u.csv:1 (a)", "u.csv:2 (a)", "t.csv:4 (a)"}) ==
        "t.csv:3 (a); u.csv:1,2 (a); t.csv:4 (a)");
}
