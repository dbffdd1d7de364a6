#include "reports/chrome_trace.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;
using Json = nlohmann::json;

namespace {

Json events(const Timed& s) {
  std::ostringstream out;
  write_chrome_trace(out, s.step, timeline(s.step, s.trace));
  return Json::parse(out.str())["traceEvents"];
}

}  // namespace

TEST_CASE("the JSON trace parses, and no slices of a track overlap", "[reports][chrome_trace]") {
  std::map<std::pair<int, int>, double> last;
  std::size_t slices = 0;
  for (const Json& e : events(one_f_one_b_step())) {
    if (e["ph"] != "X") continue;
    ++slices;
    double& end = last[{e["pid"], e["tid"]}];
    CHECK(e["ts"].get<double>() >= end);
    end = e["ts"].get<double>() + e["dur"].get<double>();
  }
  CHECK(slices == 12);
  CHECK(last.at({1, 1}) == 9000);  // microseconds
}

TEST_CASE("each arrow starts in a send and ends where a slice of another rank begins", "[reports][chrome_trace]") {
  std::map<int, Json> from;
  std::size_t ends = 0;
  const Json all = events(one_f_one_b_step());
  for (const Json& e : all)
    if (e["ph"] == "s") CHECK(from.emplace(e["id"].get<int>(), e).second);
  for (const Json& e : all) {
    if (e["ph"] != "f") continue;
    ++ends;
    REQUIRE(from.contains(e["id"].get<int>()));
    CHECK(from[e["id"]]["pid"] != e["pid"]);
    CHECK(from[e["id"]]["ts"].get<double>() <= e["ts"].get<double>());
  }
  CHECK(from.size() == 4);
  CHECK(ends == 4);
}

TEST_CASE("times are exact to the picosecond", "[reports][chrome_trace]") {
  SmallStep s(Program(1));
  s.op({0, 0, 0, Kind::optimizer}, 0, 1.000000001);
  const Timed t = std::move(s).done();
  std::ostringstream out;
  write_chrome_trace(out, t.step, timeline(t.step, t.trace));
  CHECK(out.str().find("\"dur\":1000.000001,") != std::string::npos);
}
