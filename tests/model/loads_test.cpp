#include "model/loads.hpp"

#include <rapidcheck.h>
#include <algorithm>
#include <numeric>

#include "model/routing.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

LoadSpec v3_spec(std::int64_t ranks) {
  LoadSpec s;
  s.router = {256, 8, 8, 4, true};
  s.tokens = 4096, s.ranks = ranks, s.per_node = 8, s.row_bytes = 7392;
  s.nvlink = ByteRate(160e9), s.nic = ByteRate(50e9);
  return s;
}

template <class Get>
double total(const LayerTraffic& t, const Get& get) {
  double sum = 0;
  for (const RankTraffic& r : t.rank) sum += get(r);
  return sum;
}

}  // namespace

TEST_CASE("balanced counts load every rank alike", "[model][loads]") {
  const LoadModel m(v3_spec(64));
  const std::vector<double> even(256, 1000);
  const auto p = contiguous(1, 256, 64);
  const LayerTraffic t = m.layer(even, p.row(0));
  CHECK(t.rank_imbalance == Approx(1));
  CHECK(t.load.exchange == Approx(1));
  CHECK(t.load.experts == 4);
  const Reach reach = expected_reach({4096, 0, 256, 8, 64, 8, 4}, 8);
  for (const RankTraffic& r : t.rank) {
    CHECK(r.rows == Approx(4096 * 8));
    CHECK(r.padded == Approx(4096 * 8));
    CHECK(r.tokens == Approx(4096 * reach.gpus).epsilon(1e-4));
    CHECK(r.nic_out == Approx(4096 * 7392 * reach.remote_nodes).epsilon(1e-4));
  }
  for (double x : t.load.rows) CHECK(x == Approx(1));
}

TEST_CASE("what ranks send is what ranks receive, and no row is lost", "[model][loads]") {
  CHECK(rc::check("under any counts and placement", [] {
    LoadGenerator g;
    g.kind = LoadKind::dirichlet, g.concentration = 0.5, g.seed = *rc::gen::arbitrary<std::uint64_t>();
    const LoadSpec spec = v3_spec(*rc::gen::element(8, 16, 32, 64));
    const auto c = sampled_counts(g, spec.router, 1, spec.tokens * spec.ranks);
    const PlacementSpec s{256 + spec.ranks, 8, spec.ranks / 8, spec.ranks};
    const Placement p = *rc::gen::arbitrary<bool>() ? eplb(c, s) : contiguous(1, 256, spec.ranks);
    const LayerTraffic t = LoadModel(spec).layer(c.row(0), p.row(0));
    const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(a, 1.0); };
    RC_ASSERT(near(total(t, [](auto& r) { return r.nic_in; }), total(t, [](auto& r) { return r.nic_out; })));
    RC_ASSERT(near(total(t, [](auto& r) { return r.nvlink_in; }), total(t, [](auto& r) { return r.nvlink_out; })));
    RC_ASSERT(near(total(t, [](auto& r) { return r.rows; }), static_cast<double>(spec.tokens * spec.ranks * 8)));
    for (const RankTraffic& r : t.rank) RC_ASSERT(r.padded >= r.rows * (1 - 1e-9) && r.tokens <= r.rows * (1 + 1e-9));
    RC_ASSERT(t.load.most_rows() >= t.rank_imbalance * (1 - 1e-9));
  }));
}

TEST_CASE("a hot expert makes its rank the slowest and its ports the busiest", "[model][loads]") {
  const LoadModel m(v3_spec(64));
  std::vector<double> counts(256, 1000);
  counts[41] = 9000;
  const auto p = contiguous(1, 256, 64);
  const LayerTraffic t = m.layer(counts, p.row(0));
  CHECK(std::ranges::max_element(t.load.rows) - t.load.rows.begin() == 10);
  CHECK(t.rank_imbalance == Approx(12.0 / 4 * 256 / 264));
  CHECK(t.node_imbalance == Approx(40.0 / 32 * 256 / 264));
  CHECK(t.load.exchange > 1.15);
}

TEST_CASE("rows of a small expert are padded to whole tiles", "[model][loads]") {
  LoadSpec s = v3_spec(8);
  s.tokens = 16;  // 1024 rows over 256 experts
  std::vector<double> counts(256, 4);
  counts[0] = 0, counts[1] = 8;
  const auto p = contiguous(1, 256, 8);
  const LayerTraffic t = LoadModel(s).layer(counts, p.row(0));
  CHECK(t.rank[0].rows == Approx(128));
  CHECK(t.rank[0].padded == 31 * 128);
  CHECK(t.rank[1].padded == 32 * 128);
}

TEST_CASE("a trace's reach is counted token by token", "[model][loads]") {
  // Two tokens of two experts, four ranks, two a node; expert 3 also on rank 0.
  const TokenRoutes t{2, 2, {0, 1, 3, 2}};
  const std::vector<std::int32_t> slots{0, 3, 1, 1, 2, 0, 3, 2};
  const Reached r = reached(t, slots, 4, 2);
  CHECK(r.rank == std::vector<double>{0.5, 0.5, 0, 0.5});  // token 0: its first replicas; token 1: the second ones
  CHECK(r.node == std::vector<double>{0.5, 0.5});
}

TEST_CASE("reach estimated from counts agrees with tokens sent through the gate", "[model][loads]") {
  LoadGenerator g;
  g.kind = LoadKind::zipf, g.exponent = 0.4;
  for (std::int64_t ranks : {16, 64}) {
    const LoadSpec spec = v3_spec(ranks);
    const LoadModel m(spec);
    const auto routes = sample_routes(spec.router, load_shares(g, spec.router, 0), 8192, 3);
    const auto counts = counts_of(routes, 256);
    const auto p = contiguous(1, 256, ranks);
    const Reached counted = reached(routes, p.row(0), ranks, 8), estimated = m.reached(counts, p.row(0));
    double error = 0;
    for (std::size_t i = 0; i < counted.rank.size(); ++i)
      error = std::max(error, std::abs(estimated.rank[i] / counted.rank[i] - 1));
    CHECK(error < 0.08);
    const double a = std::accumulate(counted.rank.begin(), counted.rank.end(), 0.0);
    CHECK(std::accumulate(estimated.rank.begin(), estimated.rank.end(), 0.0) == Approx(a).epsilon(0.02));
    const double n = std::accumulate(counted.node.begin(), counted.node.end(), 0.0);
    CHECK(std::accumulate(estimated.node.begin(), estimated.node.end(), 0.0) == Approx(n).epsilon(0.03));
  }
}

TEST_CASE("ranks that cannot hold the experts are refused", "[model][loads][bad]") {
  CHECK_THROWS_WITH(LoadModel(v3_spec(48)), Catch::Matchers::Contains("256 experts do not divide over 48 ranks"));
  LoadSpec s = v3_spec(16);
  s.per_node = 7;
  CHECK_THROWS_WITH(LoadModel(s), Catch::Matchers::Contains("16 ranks do not fill nodes of 7"));
  s = v3_spec(16);
  s.router.top_groups = 9;
  CHECK_THROWS_WITH(LoadModel(s), Catch::Matchers::Contains("9 groups of 8"));
}
