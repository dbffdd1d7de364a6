#include "reports/timeline.hpp"

#include "tests/catch.hpp"
#include "tests/reports/small_step.hpp"

using namespace railcast;

namespace {

void check_no_overlap(const Timeline& t) {
  for (std::size_t i = 0; i + 1 < t.slices.size(); ++i) {
    CHECK(t.slices[i].track <= t.slices[i + 1].track);
    if (t.slices[i].track == t.slices[i + 1].track) CHECK(t.slices[i].end <= t.slices[i + 1].start);
  }
}

}  // namespace

TEST_CASE("each lane of each rank has a track, and a send points at the op that waits for it", "[reports][timeline]") {
  const Timed s = one_f_one_b_step();
  const Timeline t = timeline(s.step, s.trace);
  REQUIRE(t.tracks.size() == 4);
  CHECK(track_name(t.tracks[0]) == "compute");
  CHECK(track_name(t.tracks[1]) == "pipeline");
  CHECK(t.slices.size() == s.step.graph.ops.size());
  check_no_overlap(t);
  REQUIRE(t.arrows.size() == 4);
  for (const Arrow& a : t.arrows) {
    CHECK(is_send(unpack(s.step.graph.ops[a.send].tag).kind));
    CHECK(t.slices[a.slice].start >= s.trace.end[a.send]);
  }
}

TEST_CASE("slices carry the micro-batch of their half of a pair", "[reports][timeline]") {
  SmallStep s({{{Step::overlapped, 0, 7, 1, 4}}});
  s.op({0, 0, 12, Kind::attn_f}, 0, 1);
  s.op({0, 0, 12, Kind::mlp_b}, 1, 2);
  s.op({0, 1, 0, Kind::optimizer}, 2, 3);
  const Timed timed = std::move(s).done();
  const Timeline t = timeline(timed.step, timed.trace);
  CHECK(slice_name(t.slices[0]) == "ATTN(F) L12 mb 7");
  CHECK(slice_name(t.slices[1]) == "MLP(B) L12 mb 4");
  CHECK(slice_name(t.slices[2]) == "OPTIMIZER");
}

TEST_CASE("a gang stands on every member's track, and overlapping ops get tracks of their own", "[reports][timeline]") {
  SmallStep s({{{Step::forward, 0, 0}}, {{Step::forward, 0, 0}}});
  const std::uint32_t both = s.gang({0, 1});
  s.op({both, 0, 1, Kind::dispatch_f, true}, 0, 4);
  s.op({0, 0, 1, Kind::combine_f}, 2, 3);
  s.op({0, 0, 1, Kind::combine_f}, 4, 5);
  const Timed timed = std::move(s).done();
  const Timeline t = timeline(timed.step, timed.trace);
  REQUIRE(t.tracks.size() == 3);
  CHECK(track_name(t.tracks[1]) == "communication 2");
  CHECK(t.tracks[2].rank == 1);
  CHECK(t.slices.size() == 4);
  check_no_overlap(t);
}

TEST_CASE("of many ranks the first of each pipeline rank is shown", "[reports][timeline]") {
  SmallStep s(Program(1));
  s.step().ranks.push_back({1, 0, 1});
  for (std::uint32_t rank : {0U, 1U}) s.op({rank, 0, 0, Kind::optimizer}, 0, 1);
  const Timed timed = std::move(s).done();
  CHECK(timeline(timed.step, timed.trace, 2).slices.size() == 2);
  CHECK(timeline(timed.step, timed.trace, 1).slices.size() == 1);
}
