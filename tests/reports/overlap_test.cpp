#include "reports/overlap.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;

TEST_CASE("a segment's slowdown is its time in pairs over its time alone", "[reports][overlap]") {
  const Instruction pair{Step::overlapped, 0, 1, 1, 0}, forward{Step::forward, 0, 0};
  SmallStep s({{forward, pair}});
  s.op({0, 0, 1, Kind::attn_f}, 0, 2);  // not in a pair
  s.op({0, 1, 1, Kind::attn_f}, 2, 4);
  s.op({0, 1, 1, Kind::dispatch_f}, 4, 7);
  s.op({0, 1, 2, Kind::attn_f}, 4, 9);  // another layer
  Timed t = std::move(s).done();
  t.trace.end[1] = Time::seconds(5e-3);  // 3 ms for 2 ms of work
  const auto all = slowdowns(t.step, t.trace, 1);
  REQUIRE(all.size() == 2);
  CHECK(all[0].kind == Kind::attn_f);
  CHECK(all[0].alone_s == Approx(2e-3));
  CHECK(all[0].overlapped_s == Approx(3e-3));
  CHECK(all[0].times() == Approx(1.5));
  CHECK(all[1].times() == Approx(1));
  const std::string text = slowdowns_text(all, 3e-3);
  for (const char* part : {"ATTN(F)", "DISPATCH(F)", "1.50", "layer pair", "compute lane"})
    CHECK(text.find(part) != std::string::npos);
}

TEST_CASE("without pairs nothing is slowed", "[reports][overlap]") {
  SmallStep s({{Instruction{Step::forward, 0, 0}}});
  s.op({0, 0, 1, Kind::attn_f}, 0, 2);
  const Timed t = std::move(s).done();
  CHECK(slowdowns(t.step, t.trace, 1).empty());
  CHECK(slowdowns_text({}, 0).empty());
}
