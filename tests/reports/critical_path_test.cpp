#include "reports/critical_path.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;

TEST_CASE("the critical path runs back through the latest-ending predecessor", "[reports][critical_path]") {
  const Timed t = one_f_one_b_step();
  const auto path = critical_path(t.step.graph, t.trace);
  CHECK(t.trace.start[path.front()] == Time());
  CHECK(t.trace.end[path.back()] == t.trace.makespan);
  for (std::size_t i = 0; i + 1 < path.size(); ++i) CHECK(t.trace.end[path[i]] == t.trace.start[path[i + 1]]);
}

TEST_CASE("of two predecessors that end together the lowest id is taken", "[reports][critical_path]") {
  SmallStep s(Program(1));
  const OpId a = s.op({0, 0, 0, Kind::attn_f}, 0, 2), b = s.op({0, 0, 0, Kind::mlp_f}, 0, 2);
  const OpId c = s.op({0, 0, 0, Kind::head_f}, 2, 3, {b, a});
  s.op({0, 0, 0, Kind::head_b}, 0, 3);  // ends as late as c
  const Timed t = std::move(s).done();
  CHECK(critical_path(t.step.graph, t.trace) == std::vector<OpId>{a, c});
}

TEST_CASE("kinds on the path come with time, share and count", "[reports][critical_path]") {
  const Timed t = one_f_one_b_step();
  const auto kinds = path_kinds(t.step.graph, t.trace, critical_path(t.step.graph, t.trace));
  REQUIRE(kinds.size() >= 2);
  CHECK(kinds[0].kind == Kind::attn_b);
  CHECK(kinds[0].time_s == Approx(6e-3));
  CHECK(kinds[0].share == Approx(6.0 / 9));
  CHECK(kinds[0].count == 3);
  CHECK(kinds[1].kind == Kind::attn_f);
  CHECK(kinds[1].share == Approx(3.0 / 9));
}

TEST_CASE("provenance weighs each op's time by its sources", "[reports][critical_path]") {
  SmallStep s(Program(1));
  const OpId a = s.op({0, 0, 0, Kind::attn_f}, 0, 6, {}, Provenance::interpolated);
  s.op({0, 0, 0, Kind::mlp_f}, 6, 8, {a});
  s.step().segments[a].by_provenance = {Time::ps(1), Time::ps(2), Time(), Time()};  // contention stretched it
  const Timed t = std::move(s).done();
  const auto shares = path_provenance(t.step, t.trace, critical_path(t.step.graph, t.trace));
  CHECK(shares[0] == Approx(2.0 / 8 + 2.0 / 8));
  CHECK(shares[1] == Approx(4.0 / 8));
  CHECK(shares[2] + shares[3] == 0);
}

TEST_CASE("an op's time on our own kernels is the share that its segment says", "[reports][critical_path]") {
  SmallStep s(Program(1));
  const OpId a = s.op({0, 0, 0, Kind::attn_f}, 0, 6);
  s.op({0, 0, 0, Kind::mlp_f}, 6, 8, {a});
  s.step().segments[a].own = Time::seconds(3e-3);
  const Timed t = std::move(s).done();
  CHECK(path_own(t.step, t.trace, critical_path(t.step.graph, t.trace)) == Approx(3.0 / 8));
  CHECK(path_own(t.step, t.trace, {}) == 0);
}

TEST_CASE("an empty graph has no critical path", "[reports][critical_path]") {
  const Timed t;
  CHECK(critical_path(t.step.graph, t.trace).empty());
  CHECK(path_kinds(t.step.graph, t.trace, {}).empty());
}
