#include "reports/table.hpp"

#include <stdexcept>

#include "reports/format.hpp"
#include "tests/catch.hpp"

using namespace railcast;

TEST_CASE("columns line up and lines end without spaces", "[reports][table]") {
  Table t("lrl", 0);
  t.row({"name", "time", "note"});
  t.row({"a", "10.00 ms", ""});
  t.row({"longer", "1 s", "x"});
  CHECK(t.text() ==
        "name        time  note\n"
        "a       10.00 ms\n"
        "longer       1 s  x\n");
}

TEST_CASE("the last column wraps under itself", "[reports][table]") {
  Table t("ll", 2, 9);
  t.row({"zbv", "needs more micro-batches"});
  CHECK(t.text() ==
        "  zbv  needs\n"
        "       more\n"
        "       micro-batches\n");
}

TEST_CASE("colour codes take no room", "[reports][table]") {
  Table t("ll", 0);
  t.row({inked("no", Ink::red, true), "x"});
  t.row({"yes", "y"});
  CHECK(t.text() == "\033[31mno\033[0m   x\nyes  y\n");
}

TEST_CASE("a row with too many cells is an error", "[reports][table]") {
  Table t("l");
  CHECK_THROWS_AS(t.row({"a", "b"}), std::logic_error);
}
