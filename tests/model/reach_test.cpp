#include <algorithm>

#include "model/cost.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {
constexpr std::int64_t kPerNode = 8;
// V3's experts over `ranks` GPUs; groups and top_groups as given.
Dispatch v3(std::int64_t ranks, std::int64_t groups, std::int64_t top_groups) {
  return {4096, 7168, 256, 8, ranks, groups, top_groups, Dtype::fp8_block};
}
}  // namespace

TEST_CASE("without a group limit reach is the hypergeometric mean", "[model][reach]") {
  const Reach r = expected_reach(v3(8, 1, 1), kPerNode);
  CHECK(r.nodes == Approx(1));
  CHECK(r.remote_nodes == Approx(0));
  double none = 1;  // C(224, 8) / C(256, 8)
  for (int i = 0; i < 8; ++i) none *= (224.0 - i) / (256.0 - i);
  CHECK(r.gpus == Approx(8 * (1 - none)));
  CHECK(r.gpus == Approx(5.31).epsilon(0.005));  // DeepEP's test at EP8
  CHECK(r.remote_gpus_in_node == Approx(r.gpus * 7 / 8));
}

TEST_CASE("a group limit that limits nothing is no limit", "[model][reach]") {
  const Reach all = expected_reach(v3(64, 8, 8), kPerNode), none = expected_reach(v3(64, 1, 1), kPerNode);
  CHECK(all.nodes == none.nodes);
  CHECK(all.gpus == none.gpus);
}

TEST_CASE("DeepEP's test router reaches the published means", "[model][reach]") {
  // Its groups are the nodes, scored by their best, min(nodes, 4) kept: distinct nodes 1.99, 3.61, 3.98 and GPUs
  // 6.53, 7.27, 7.48 at EP16, 32, 64 (derived from tests/test_internode.py at 3b1045d).
  const double nodes[] = {1.99, 3.61, 3.98}, gpus[] = {6.53, 7.27, 7.48};
  for (int i = 0; i < 3; ++i) {
    const std::int64_t n = std::int64_t{2} << i;
    const Reach r = expected_reach(v3(8 * n, n, std::min<std::int64_t>(n, 4)), kPerNode, GroupScore::best);
    CHECK(r.nodes == Approx(nodes[i]).epsilon(0.01));
    CHECK(r.gpus == Approx(gpus[i]).epsilon(0.01));
  }
}

TEST_CASE("V3's gate keeps a token within four nodes", "[model][reach]") {
  const Reach r = expected_reach(v3(64, 8, 4), kPerNode);
  CHECK(r.nodes <= 4);
  CHECK(r.nodes > 3.5);
  CHECK(r.gpus > r.nodes);
  CHECK(r.gpus <= 8);
  CHECK(expected_reach(v3(32, 8, 4), kPerNode).nodes == Approx(3.1).epsilon(0.03));  // two groups a node
  CHECK(expected_reach(v3(64, 8, 4), 64).remote_nodes == 0);                         // one NVLink domain
  CHECK(expected_reach(v3(64, 8, 4), kPerNode).gpus == r.gpus);                      // deterministic
}

TEST_CASE("a gate that cannot be laid out is refused", "[model][reach]") {
  CHECK_THROWS_AS(expected_reach(v3(48, 8, 4), kPerNode), std::invalid_argument);
  CHECK_THROWS_AS(expected_reach(v3(64, 7, 4), kPerNode), std::invalid_argument);
  CHECK_THROWS_AS(expected_reach(v3(64, 8, 9), kPerNode), std::invalid_argument);
}
