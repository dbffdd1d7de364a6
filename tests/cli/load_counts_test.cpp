#include "cli/load_counts.hpp"

#include <cstring>
#include <limits>

#include "cli/load_routing.hpp"
#include "tests/catch.hpp"
#include "tests/cli/npy.hpp"
#include "tests/cli/scratch.hpp"
#include "tests/presets.hpp"

using namespace railcast;
using namespace railcast::tests;
using Catch::Matchers::Contains;

namespace {

std::string npy_of(std::vector<float> v, const std::string& shape) { return npy("<f4", shape, v); }

}  // namespace

TEST_CASE("counts are read from .npy of any width", "[cli][counts]") {
  const std::string shape = "(2, 3)";
  const std::vector<double> expected{1, 2, 3, 4, 5, 6};
  CHECK(parse_npy(npy("<f4", shape, std::vector<float>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  CHECK(parse_npy(npy("<f8", shape, std::vector<double>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  CHECK(parse_npy(npy("<i8", shape, std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  CHECK(parse_npy(npy("<u4", shape, std::vector<std::uint32_t>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  CHECK(parse_npy(npy("<i2", shape, std::vector<std::int16_t>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  CHECK(parse_npy(npy("|u1", shape, std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6}), "x").value == expected);
  const Array3 a = parse_npy(npy_of({1, 2, 3, 4, 5, 6}, "(1, 2, 3)"), "x");
  CHECK((a.outer == 1 && a.rows == 2 && a.cols == 3));
  CHECK(parse_npy(npy_of({1, 2, 3, 4, 5, 6}, "(3, 2, 1)"), "x").outer == 3);
}

TEST_CASE("an .npy file that is not what it says is refused", "[cli][counts][bad]") {
  const std::string good = npy_of({1, 2, 3, 4, 5, 6}, "(2, 3)");
  CHECK_THROWS_WITH(parse_npy(good.substr(0, good.size() - 1), "c.npy"),
                    Contains("c.npy: has 23 bytes of data; its header says 24 (is the file truncated?)"));
  CHECK_THROWS_WITH(parse_npy(good + "x", "c.npy"), Contains("has 25 bytes"));
  for (std::size_t n = 0; n < good.size(); ++n) CHECK_THROWS_AS(parse_npy(good.substr(0, n), "c.npy"), BadInput);
  CHECK_THROWS_WITH(parse_npy(npy("<f2", "(2, 3)", std::vector<std::int16_t>(6)), "x"),
                    Contains("dtype '<f2'") && Contains("astype"));
  CHECK_THROWS_WITH(parse_npy(npy(">i4", "(2, 3)", std::vector<std::int32_t>(6)), "x"), Contains("little-endian"));
  CHECK_THROWS_WITH(parse_npy(npy_of({1, 2}, "(2,)"), "x"), Contains("has 1 dimensions"));
  CHECK_THROWS_WITH(parse_npy(npy_of({}, "(0, 3)"), "x"), Contains("a dimension of 0"));
  CHECK_THROWS_WITH(parse_npy(npy_of({}, "(4000000000, 4000000000)"), "x"), Contains("a dimension of 4000000000"));
  CHECK_THROWS_WITH(parse_npy(npy_of({}, "(-1, 3)"), "x"), Contains("no shape"));
  CHECK_THROWS_WITH(parse_npy(npy("<f4", "(2, 3)", std::vector<float>(6), "True"), "x"), Contains("Fortran order"));
  CHECK_THROWS_WITH(parse_npy("PK", "x"), Contains("no .npy file"));
}

TEST_CASE("counts are read from CSV and JSON", "[cli][counts]") {
  const Array3 csv = parse_csv("# tokens\nexpert 0, expert 1\n1, 2.5\r\n\n3,4e2", "c.csv");
  CHECK((csv.rows == 2 && csv.cols == 2));
  CHECK(csv.value == std::vector<double>{1, 2.5, 3, 400});
  CHECK(parse_json_array("[[1, 2], [3, 4]]", "c.json").value == std::vector<double>{1, 2, 3, 4});
  CHECK(parse_json_array("{\"weight\": [[1, 2]], \"gpus\": 8}", "c.json").cols == 2);
  const Array3 windows = parse_json_array("{\"counts\": [[[1, 2]], [[3, 4]]]}", "c.json");
  CHECK((windows.outer == 2 && windows.rows == 1 && windows.cols == 2));
}

TEST_CASE("ragged, empty and impossible counts are refused where they stand", "[cli][counts][bad]") {
  CHECK_THROWS_WITH(parse_csv("1,2\n3\n", "c.csv"), Contains("c.csv:2: has 1 cells; the rows before it have 2"));
  CHECK_THROWS_WITH(parse_csv("1,x\n", "c.csv"), Contains("c.csv:1: \"x\" is no number"));
  CHECK_THROWS_WITH(parse_csv("1,\n", "c.csv"), Contains("\"\" is no number"));
  CHECK_THROWS_WITH(parse_csv("# nothing\n", "c.csv"), Contains("no row"));
  CHECK_THROWS_WITH(parse_json_array("[[1, 2], [3]]", "c.json"),
                    Contains("c.json#/1: has 1 entries; those before it have 2"));
  CHECK_THROWS_WITH(parse_json_array("[[1, null]]", "c.json"), Contains("c.json#/0/1: expected a number"));
  CHECK_THROWS_WITH(parse_json_array("[1, 2]", "c.json"), Contains("#/0: expected a list"));
  CHECK_THROWS_WITH(parse_json_array("[]", "c.json"), Contains("not empty"));
  CHECK_THROWS_WITH(parse_json_array("{}", "c.json"), Contains("\"counts\""));
  CHECK_THROWS_WITH(counts_from({1, 2, 2, {1, 2, -3, 4}}, "c.csv"), Contains("c.csv: layer 1, expert 0: -3"));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_WITH(counts_from({2, 1, 2, {1, 2, 3, nan}}, "c.npy"), Contains("window 1, layer 0, expert 1: nan"));
  CHECK_THROWS_WITH(counts_from({1, 2, 2, {1, 2, 0, 0}}, "c.csv"),
                    Contains("layer 1, expert 0: the layer has no token"));
}

TEST_CASE("expert ids become counts, and impossible ids are refused", "[cli][counts]") {
  const auto routes = routes_from({2, 2, 2, {0, 3, 1, 2, 3, 0, 3, 1}}, 4, "ids.npy");
  REQUIRE(routes.size() == 2);
  const Routing r = routing_of(routes, 4, "ids.npy");
  CHECK(r.counts.count == std::vector<double>{1, 1, 1, 1, 1, 1, 0, 2});
  CHECK_THROWS_WITH(routes_from({1, 1, 2, {0, 4}}, 4, "ids.npy"),
                    Contains("layer 0, token 0: 4") && Contains("4 experts"));
  CHECK_THROWS_WITH(routes_from({1, 1, 2, {0, 1.5}}, 4, "ids.npy"), Contains("1.5"));
  CHECK_THROWS_WITH(routes_from({1, 2, 2, {0, 1, 2, 2}}, 4, "ids.npy"), Contains("token 1: expert 2 stands twice"));
}

TEST_CASE("counts fit the model's layers in the ways that people record them", "[cli][counts]") {
  const Transformer v3 = preset("deepseek-v3");
  const auto moe = rows_by_layer(v3, 58), all = rows_by_layer(v3, 61), with_mtp = rows_by_layer(v3, 59);
  REQUIRE(moe.size() == 62);
  CHECK((moe[2] == -1 && moe[3] == 0 && moe[60] == 57 && moe[61] == 57));
  CHECK((all[2] == -1 && all[3] == 3 && all[60] == 60 && all[61] == 60));
  CHECK((with_mtp[60] == 57 && with_mtp[61] == 58));
  CHECK((rows_by_layer(v3, 1)[3] == 0 && rows_by_layer(v3, 1)[61] == 0));
  CHECK_THROWS_WITH(rows_by_layer(v3, 57), Contains("57 layers") && Contains("58"));
}

TEST_CASE("a generator's specification is read strictly", "[cli][counts]") {
  const Transformer v3 = preset("deepseek-v3");
  const Scratch scratch;
  const auto load = [&](const std::string& text) {
    return load_routing(scratch.write("r.json", text), false, v3, 4096);
  };
  CHECK(load("{\"generator\": \"drifting\", \"windows\": 3}").size() == 3);
  CHECK(load("{\"generator\": \"zipf\", \"seed\": 4}").front().counts.layers == 59);
  CHECK(load("{\"generator\": \"zipf\", \"gate\": true}").front().counts.experts == 256);
  CHECK_THROWS_WITH(load("{\"generator\": \"zip\"}"), Contains("did you mean \"zipf\""));
  CHECK_THROWS_WITH(load("{\"generator\": \"zipf\", \"memory\": 1}"), Contains("/memory: unknown key"));
  CHECK_THROWS_WITH(load("{\"generator\": \"zipf\", \"exponent\": -1}"), Contains("/exponent"));
  CHECK_THROWS_WITH(load("{\"seed\": 1}"), Contains("expected one of \"file\""));
  CHECK_THROWS_WITH(load("{\"file\": \"absent.npy\"}"), Contains("no file \"absent.npy\""));
}
