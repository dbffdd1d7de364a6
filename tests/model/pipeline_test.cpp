#include "model/pipeline.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "tests/catch.hpp"

using namespace railcast;

namespace {

Time us(double n) { return Time::seconds(n * 1e-6); }

// `chunks` through stages that take `work` each; a stage starts a chunk when the stage after it has let go of the one
// `ring` chunks earlier (0: no limit).
Time stages(const std::vector<double>& work, int chunks, int ring) {
  Pipeline p;
  std::vector<Pipeline::Id> servers;
  for (std::size_t i = 0; i < work.size(); ++i) servers.push_back(p.server());
  std::vector<std::vector<Pipeline::Id>> made(work.size());
  for (int k = 0; k < chunks; ++k)
    for (std::size_t i = 0; i < work.size(); ++i) {
      made[i].push_back(p.step({servers[i], Pipeline::kNone, us(work[i]), {}, {}}));
      if (i > 0) p.link(made[i - 1].back(), made[i].back());
      if (ring > 0 && k >= ring && i + 1 < work.size())
        p.link(made[i + 1][static_cast<std::size_t>(k - ring)], made[i].back());
    }
  return p.run();
}

}  // namespace

TEST_CASE("with rings without end a pipeline takes its slowest stage and the fill", "[model][pipeline]") {
  CHECK(stages({2, 5, 3}, 100, 0) == us(2 + 5 * 100 + 3));
  CHECK(stages({5, 2, 3}, 100, 0) == us(5 * 100 + 2 + 3));
  CHECK(stages({1}, 7, 0) == us(7));
}

TEST_CASE("a ring of one chunk makes neighbours wait for each other", "[model][pipeline]") {
  CHECK(stages({2, 3}, 50, 1) == us(50 * (2 + 3)));
  CHECK(stages({2, 3}, 50, 2) < stages({2, 3}, 50, 1));
  CHECK(stages({2, 3}, 50, 50) == stages({2, 3}, 50, 0));
}

TEST_CASE("a larger ring is never slower, a slower stage never faster", "[model][pipeline]") {
  for (int ring = 1; ring < 6; ++ring) CHECK(stages({2, 3, 2}, 40, ring + 1) <= stages({2, 3, 2}, 40, ring));
  for (double w = 1; w < 6; ++w) CHECK(stages({2, w, 2}, 40, 3) <= stages({2, w + 1, 2}, 40, 3));
}

TEST_CASE("a port serves chunks in the order of arrival and is busy for their sum", "[model][pipeline]") {
  Pipeline p;
  const auto port = p.port();
  for (int i = 0; i < 10; ++i) p.step({p.server(), port, us(1), us(4), us(100)});
  CHECK(p.run() == us(40 + 100));
  CHECK(p.busy(port) == us(40));
  CHECK(p.busiest_server() == us(40));
}

TEST_CASE("what waits for two sees the later one's latency too", "[model][pipeline]") {
  Pipeline p;
  const auto slow = p.step({Pipeline::kNone, Pipeline::kNone, us(5), {}, {}});
  const auto far = p.step({Pipeline::kNone, Pipeline::kNone, us(1), {}, us(50)});
  const auto last = p.step({Pipeline::kNone, Pipeline::kNone, us(1), {}, {}});
  p.link(slow, last), p.link(far, last);
  CHECK(p.run() == us(52));
}

TEST_CASE("steps in a circle are refused", "[model][pipeline]") {
  Pipeline p;
  const auto a = p.step({}), b = p.step({});
  p.link(a, b), p.link(b, a);
  CHECK_THROWS_AS(p.run(), std::logic_error);
}
