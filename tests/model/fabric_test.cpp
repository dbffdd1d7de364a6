#include "model/fabric.hpp"

#include <algorithm>
#include <map>

#include "model/flows.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

FabricSpec spec(std::int64_t nodes, const Topology& t) {
  FabricSpec s;
  s.nodes = nodes;
  s.nvlink = ByteRate(450e9), s.nic = ByteRate(50e9);
  s.nvlink_latency = Time::seconds(3.33e-6), s.nic_latency = Time::seconds(3.7e-6);
  s.topology = t;
  return s;
}

std::vector<std::string> way(const Fabric& f, std::int64_t from, std::int64_t to) {
  std::vector<LinkId> path;
  f.path(from, to, path);
  std::vector<std::string> names;
  for (LinkId l : path) names.push_back(f.name(l));
  return names;
}

using Way = std::vector<std::string>;

}  // namespace

TEST_CASE("on rails a message climbs only where leaf or rail changes", "[model][fabric]") {
  Topology t;
  t.nodes_per_leaf = 2;
  const Fabric f(spec(4, t));
  CHECK(way(f, 3, 3).empty());
  CHECK(way(f, 0, 3) == Way{"NVLink out of GPU 0", "NVLink into GPU 3"});
  CHECK(way(f, 3, 11) == Way{"NIC out of GPU 3", "NIC into GPU 11"});
  CHECK(way(f, 3, 19) == Way{"NIC out of GPU 3", "leaf 3 up", "leaf 11 down", "NIC into GPU 19"});
  CHECK(way(f, 3, 12) == Way{"NIC out of GPU 3", "leaf 3 up", "leaf 4 down", "NIC into GPU 12"});
  CHECK(f.latency(3, 11) == Time::seconds(2.8e-6));  // arXiv 2505.09343: IB, same leaf
  CHECK(f.latency(3, 19) == Time::seconds(3.7e-6));  // and across
}

TEST_CASE("between planes only NVLink leads, and a dead NIC moves a pair to the next plane", "[model][fabric]") {
  Topology t;
  t.wiring = Wiring::planes;
  CHECK(way(Fabric(spec(2, t)), 3, 12) ==
        Way{"NVLink out of GPU 3", "NVLink into GPU 4", "NIC out of GPU 4", "NIC into GPU 12"});
  t.dead_nics = {12};
  CHECK(way(Fabric(spec(2, t)), 3, 12) == Way{"NVLink out of GPU 3", "NVLink into GPU 5", "NIC out of GPU 5",
                                              "NIC into GPU 13", "NVLink out of GPU 13", "NVLink into GPU 12"});
}

TEST_CASE("in a tree a node's rails share a leaf", "[model][fabric]") {
  Topology t;
  t.wiring = Wiring::tree, t.nodes_per_leaf = 2;
  const Fabric f(spec(4, t));
  CHECK(way(f, 3, 12) == Way{"NIC out of GPU 3", "NIC into GPU 12"});
  CHECK(way(f, 3, 19) == Way{"NIC out of GPU 3", "leaf 0 up", "leaf 1 down", "NIC into GPU 19"});
}

TEST_CASE("three levels: pods meet in a core, one spine's latency later", "[model][fabric]") {
  Topology t;
  t.wiring = Wiring::tree, t.nodes_per_leaf = 1, t.nodes_per_pod = 2;
  const Fabric f(spec(4, t));
  CHECK(way(f, 0, 8) == Way{"NIC out of GPU 0", "leaf 0 up", "leaf 1 down", "NIC into GPU 8"});
  CHECK(way(f, 0, 16) ==
        Way{"NIC out of GPU 0", "leaf 0 up", "pod 0 up", "pod 1 down", "leaf 2 down", "NIC into GPU 16"});
  CHECK(f.latency(0, 16) == Time::seconds(4.6e-6));
  // The core's oversubscription is felt between pods alone: 16 NICs of a pod send to the other.
  const auto between = [&](double core) {
    t.core_oversubscription = core;
    std::vector<Message> all;
    for (std::uint32_t g = 0; g < 16; ++g) all.push_back({g, g + 16, 1e8});
    return deliver(Fabric(spec(4, t)), all).makespan.seconds();
  };
  CHECK(between(1) == Approx(1e8 / 50e9 + 4.6e-6));
  CHECK(between(4) == Approx(4e8 / 50e9 + 4.6e-6));
}

TEST_CASE("planes have cores of their own", "[model][fabric]") {
  Topology t;
  t.wiring = Wiring::planes, t.nodes_per_leaf = 1, t.nodes_per_pod = 2;
  const Fabric f(spec(4, t));
  CHECK(way(f, 1, 17) ==
        Way{"NIC out of GPU 1", "leaf 1 up", "pod 1 up", "pod 9 down", "leaf 17 down", "NIC into GPU 17"});
}

TEST_CASE("two GPUs of a NIC share its port, and PCIe carries what the NIC carries", "[model][fabric]") {
  Topology t;
  t.gpus_per_nic = 2;
  CHECK(way(Fabric(spec(2, t)), 5, 12) == Way{"NIC out of GPU 4", "NIC into GPU 12"});
  t = {};
  t.inside = Inside::pcie;
  CHECK(way(Fabric(spec(2, t)), 5, 13) ==
        Way{"PCIe out of GPU 5", "NIC out of GPU 5", "NIC into GPU 13", "PCIe into GPU 13"});
}

TEST_CASE("a rack of 72 is one NVLink domain", "[model][fabric]") {
  FabricSpec s = spec(2, {});
  s.gpus_per_node = 72;
  const Fabric f(s);
  CHECK(way(f, 0, 71) == Way{"NVLink out of GPU 0", "NVLink into GPU 71"});
  CHECK(way(f, 0, 72) == Way{"NIC out of GPU 0", "NIC into GPU 72"});
}

TEST_CASE("hashed flows collide, spread ones do not", "[model][fabric]") {
  Topology t;
  t.nodes_per_leaf = 8, t.uplinks = 8;
  std::vector<Message> all;
  for (std::uint32_t n = 0; n < 8; ++n) all.push_back({n * 8, n * 8 + 64, 1e8});
  const auto time = [&](Spreading s, std::uint64_t seed) {
    t.spreading = s, t.seed = seed;
    return deliver(Fabric(spec(16, t)), all).makespan.seconds();
  };
  CHECK(time(Spreading::adaptive, 0) == Approx(1e8 / 50e9 + 3.7e-6));
  double worst = 0, best = 1;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    worst = std::max(worst, time(Spreading::ecmp, seed)), best = std::min(best, time(Spreading::ecmp, seed));
  }
  CHECK(worst >= 3 * 1e8 / 50e9);  // 8 flows over 8 uplinks: three on one in nearly every draw
  CHECK(best >= 1e8 / 50e9);
}

TEST_CASE("every pair is joined by links that exist, whatever the fabric", "[model][fabric]") {
  for (const Wiring w : {Wiring::rails, Wiring::planes, Wiring::tree})
    for (const CrossRail c : {CrossRail::spine, CrossRail::nvlink})
      for (const std::int64_t pod : {0, 4})
        for (const bool broken : {false, true}) {
          Topology t;
          t.wiring = w, t.cross_rail = c, t.nodes_per_leaf = 2, t.nodes_per_pod = pod;
          if (broken) t.dead_nics = {1, 9, 10, 60}, t.cut_rails = {6};
          const Fabric f(spec(8, t));
          std::vector<LinkId> path;
          for (std::int64_t a = 0; a < f.gpus(); ++a)
            for (std::int64_t b = 0; b < f.gpus(); ++b) {
              f.path(a, b, path);
              REQUIRE(path.empty() == (a == b));
              for (LinkId l : path) {
                REQUIRE(l < f.links());
                REQUIRE(std::ranges::count(path, l) == 1);
              }
              if (!broken) continue;
              for (LinkId l : path) REQUIRE(f.name(l) != "NIC out of GPU 9");
            }
        }
}
