#include "cli/json.hpp"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {
nlohmann::json document(const std::string& text) { return parse_json(text, "t.json"); }
}  // namespace

TEST_CASE("quantities carry their unit in the text", "[cli][json]") {
  CHECK(parse_quantity("400 Gb/s", Dimension::byte_rate) == Approx(50e9));
  CHECK(parse_quantity("3.35 TB/s", Dimension::byte_rate) == Approx(3.35e12));
  CHECK(parse_quantity("989.5 TFLOP/s", Dimension::flop_rate) == Approx(989.5e12));
  CHECK(parse_quantity("5 us", Dimension::time) == Approx(5e-6));
  CHECK(parse_quantity("80 GB", Dimension::bytes) == Approx(80e9));
  CHECK(parse_quantity("80 GiB", Dimension::bytes) == Approx(85899345920.0));
  CHECK(parse_quantity("10 %", Dimension::fraction) == Approx(0.1));
  CHECK(parse_quantity("10%", Dimension::fraction) == Approx(0.1));
}

TEST_CASE("a quantity without its unit, or with another's, names what was expected", "[cli][json]") {
  CHECK_THROWS_WITH(parse_quantity("400", Dimension::byte_rate),
                    ContainsSubstring("has no unit") && ContainsSubstring("400 Gb/s"));
  CHECK_THROWS_WITH(parse_quantity("5 us", Dimension::byte_rate),
                    ContainsSubstring("another kind") && ContainsSubstring("bandwidth"));
  CHECK_THROWS_WITH(parse_quantity("80 GB/s", Dimension::bytes),
                    ContainsSubstring("another kind") && ContainsSubstring("80 GiB"));
  CHECK_THROWS_WITH(parse_quantity("5 usec", Dimension::time), ContainsSubstring("unknown unit \"usec\""));
  CHECK_THROWS_WITH(parse_quantity("400 Gbps", Dimension::byte_rate), ContainsSubstring("did you mean \"Gb/s\"?"));
  CHECK_THROWS_WITH(parse_quantity("-1 GB", Dimension::bytes), ContainsSubstring("negative"));
  CHECK_THROWS_WITH(parse_quantity("nan s", Dimension::time), ContainsSubstring("not a finite number"));
  CHECK_THROWS_WITH(parse_quantity("inf s", Dimension::time), ContainsSubstring("not a finite number"));
  CHECK_THROWS_WITH(parse_quantity("1e999 GB", Dimension::bytes), ContainsSubstring("out of range"));
  CHECK_THROWS_WITH(parse_quantity("fast", Dimension::time), ContainsSubstring("does not start with a number"));
}

TEST_CASE("a misspelt key is named with its near miss and pointer", "[cli][json]") {
  const auto j = document(R"({"plan": {"comm_smx": 20}})");
  JsonObject root(j, "s.json");
  JsonObject plan = root.object("plan");
  CHECK_FALSE(plan.has("comm_sms"));
  CHECK_THROWS_WITH(plan.finish(), "s.json#/plan/comm_smx: unknown key; did you mean \"comm_sms\"?");
  CHECK_THROWS_WITH(plan.integer("comm_sms"),
                    "s.json#/plan: the key \"comm_sms\" is missing; did you mean \"comm_smx\"?");
}

TEST_CASE("a key of the wrong type is refused", "[cli][json]") {
  const auto j = document(R"({"a": "x", "b": 1.5, "c": -3, "d": [1, "x"], "e": 18446744073709551615, "f": 7})");
  JsonObject o(j, "s.json");
  CHECK_THROWS_WITH(o.integer("a"), ContainsSubstring("s.json#/a") && ContainsSubstring("whole number"));
  CHECK_THROWS_WITH(o.integer("b"), ContainsSubstring("whole number"));
  CHECK_THROWS_WITH(o.integer("c"), ContainsSubstring("at least 0"));
  CHECK_THROWS_WITH(o.integer("e"), ContainsSubstring("found 18446744073709551615"));
  CHECK_THROWS_WITH(o.integer("f", 1, 5), ContainsSubstring("at most 5"));
  CHECK_THROWS_WITH(o.text("b"), ContainsSubstring("expected a text"));
  CHECK_THROWS_WITH(o.boolean("b"), ContainsSubstring("true or false"));
  CHECK_THROWS_WITH(o.number("a"), ContainsSubstring("expected a number"));
  CHECK_THROWS_WITH(o.integers("d"), ContainsSubstring("s.json#/d") && ContainsSubstring("\"x\""));
  CHECK_THROWS_WITH(o.texts("d"), ContainsSubstring("list of texts"));
  CHECK_THROWS_WITH(o.object("d"), ContainsSubstring("expected an object, found a list"));
  CHECK_THROWS_WITH(o.objects("d"), ContainsSubstring("s.json#/d/0"));
  CHECK_THROWS_WITH(o.quantity("b", Dimension::time), ContainsSubstring("\"1.5\" has no unit"));
  CHECK_THROWS_WITH(o.one_of("a", {"xx", "longer"}),
                    ContainsSubstring("xx, longer") && ContainsSubstring("did you mean \"xx\"?"));
  CHECK_NOTHROW(o.finish());
}

TEST_CASE("broken JSON names the line", "[cli][json]") {
  CHECK_THROWS_WITH(document("{\n \"a\": 1,\n \"b\": "),
                    ContainsSubstring("t.json: line 3") && ContainsSubstring("truncated"));
  CHECK_THROWS_WITH(document("{\"a\": NaN}"), ContainsSubstring("line 1"));
  CHECK_THROWS_AS(document("{\"a\": 1e999}"), BadInput);
  CHECK_THROWS_WITH(document("{\"a\": 1, \"a\": 2}"), ContainsSubstring("\"a\" stands twice"));
  CHECK_NOTHROW(document(R"({"a": {"x": 1}, "b": [{"x": 1}, {"x": 2}]})"));
}

TEST_CASE("a file too large is refused before it is read", "[cli][json]") {
  const auto path = std::filesystem::temp_directory_path() / ("railcast_json_" + std::to_string(::getpid()));
  std::ofstream(path) << "{}";
  std::filesystem::resize_file(path, std::uintmax_t{1} << 30);  // sparse
  CHECK_THROWS_WITH(read_json(path.string()), ContainsSubstring("1073741824 bytes; expected at most 16777216"));
  std::filesystem::remove(path);
  CHECK_THROWS_WITH(read_json(path.string()), ContainsSubstring("cannot be read"));
  CHECK_THROWS_WITH(read_json("/"), ContainsSubstring("is a folder"));
}
