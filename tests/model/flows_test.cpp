#include "model/flows.hpp"

#include <algorithm>
#include <map>
#include <random>

#include "model/collective.hpp"
#include "sim/graph.hpp"
#include "tests/catch.hpp"
#include "tests/sim/random_graph.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

FabricSpec two_level(std::int64_t nodes) {
  FabricSpec s;
  s.nodes = nodes;
  s.nvlink = ByteRate(450e9), s.nic = ByteRate(50e9);
  s.nvlink_latency = Time::seconds(1e-6), s.nic_latency = Time::seconds(3e-6);
  s.topology.nodes_per_leaf = 4;
  return s;
}

// The same messages as ops of the engine: each a draw on its links, weighted by its bytes.
Time by_engine(const Fabric& f, const std::vector<Message>& messages) {
  GraphBuilder b;
  for (std::size_t l = 0; l < f.links(); ++l) b.resource();
  std::vector<LinkId> path;
  for (const Message& m : messages) {
    f.path(m.from, m.to, path);
    double rate = 1e30;
    for (LinkId l : path) rate = std::min(rate, f.capacity(l).per_second());
    OpCost c{f.latency(m.from, m.to), Time::seconds(m.bytes / rate), {}, static_cast<float>(m.bytes / rate * 1e3)};
    std::vector<Use> uses;
    for (LinkId l : path) {
      const auto share = static_cast<float>(rate / f.capacity(l).per_second());
      const auto slot = static_cast<std::uint32_t>(share < 1);
      c.draw[slot] = share;
      uses.push_back({l, slot});
    }
    b.op(b.cost(c), b.uses(uses));
  }
  return simulate(std::move(b).build()).makespan;
}

double gap(Time a, Time b) { return a.seconds() / b.seconds() - 1; }

}  // namespace

TEST_CASE("an all-to-all between nodes takes its NIC's bytes over its rate, and the latency", "[model][flows]") {
  const Fabric f(two_level(4));
  const Exchange e = deliver(f, all_to_all(32, 1e6));
  CHECK(e.makespan.seconds() == Approx(24 * 1e6 / 50e9 + 3e-6).epsilon(1e-9));  // 24 of 31 peers beyond the node
  CHECK(e.port_bound.seconds() == Approx(24 * 1e6 / 50e9).epsilon(1e-9));
  CHECK(f.name(e.bottleneck) == "NIC out of GPU 0");
}

TEST_CASE("within a node only NVLink carries", "[model][flows]") {
  const Exchange e = deliver(Fabric(two_level(1)), all_to_all(8, 9e6));
  CHECK(e.makespan.seconds() == Approx(7 * 9e6 / 450e9 + 1e-6).epsilon(1e-9));
}

TEST_CASE("1024 GPUs, 64 KiB a pair: within 2 % of the port bound", "[model][flows]") {
  FabricSpec s = two_level(128);
  s.topology.nodes_per_leaf = 32;
  CHECK(deliver(Fabric(s), all_to_all(1024, 65536)).makespan.seconds() == Approx(1331.7e-6).epsilon(0.02));
  s.nodes = 1024, s.gpus_per_node = 1;
  CHECK(deliver(Fabric(s), all_to_all(1024, 65536)).makespan.seconds() == Approx(1340.9e-6).epsilon(0.02));
}

TEST_CASE("one filling agrees with the engine's event by event sharing", "[model][flows]") {
  for (double sigma : {0.0, 0.5, 1.5}) {
    FabricSpec s = two_level(8);
    s.topology.oversubscription = 2;
    const auto messages = skewed_all_to_all(64, 1e6, sigma, 7);
    const Fabric f(s);
    CHECK(std::abs(gap(deliver(f, messages).makespan, by_engine(f, messages))) < 0.01);
  }
}

TEST_CASE("a gang and its flows agree on symmetric collectives", "[model][flows]") {
  Machine m;
  m.nvlink = m.nvlink_effective = ByteRate(450e9), m.nic = m.nic_effective = ByteRate(50e9);
  m.nvlink_latency = Time::seconds(1e-6), m.nic_latency = Time::seconds(3e-6);
  m.sms = 132, m.gpus_per_node = 8, m.hbm = ByteRate(3.35e12);
  const std::int64_t bytes = 1 << 30;
  const Fabric f(two_level(4));
  const Time flows = deliver(f, all_to_all(32, double(bytes) / 32)).makespan;
  CHECK(std::abs(gap(collective_cost(m, AllToAll{bytes, 32, 8}, 20).total(), flows)) < 0.01);
  // A ring over one node: 7 steps of an eighth.
  const Time step = deliver(Fabric(two_level(1)), ring({0, 1, 2, 3, 4, 5, 6, 7}, double(bytes) / 8)).makespan;
  CHECK(std::abs(gap(collective_cost(m, AllGather{bytes, 8, 8}, 20).total(), 7 * step)) < 0.01);
}

TEST_CASE("no link carries more than its rate, and the busiest one bounds the makespan", "[model][flows]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FabricSpec s = two_level(8);
    s.topology.oversubscription = 1 + double(seed % 4),
    s.topology.spreading = seed % 2 ? Spreading::ecmp : Spreading::adaptive;
    s.topology.uplinks = 4, s.topology.seed = seed;
    s.topology.wiring = seed % 3 != 0 ? Wiring::rails : Wiring::tree;
    s.topology.cross_rail = seed % 5 == 0 ? CrossRail::nvlink : CrossRail::spine;
    const Fabric f(s);
    const auto messages = skewed_all_to_all(64, 1e6, 1, seed);
    const Exchange e = deliver(f, messages);
    for (double busy : e.busy) CHECK(busy <= 1);
    CHECK(e.makespan >= e.port_bound);
    // Every message's bytes are on every link of its path: links into GPUs hold what was sent to them.
    double sent = 0, received = 0;
    for (const Message& m : messages) sent += m.bytes;
    std::vector<LinkId> path;
    std::map<LinkId, bool> last;
    for (const Message& m : messages) f.path(m.from, m.to, path), last[path.back()] = true;
    for (const auto& [link, used] : last)
      received += e.busy[link] * e.makespan.seconds() * f.capacity(link).per_second();
    if (s.topology.cross_rail == CrossRail::spine) CHECK(received == Approx(sent).epsilon(1e-6));
  }
}

TEST_CASE("a small message beside large ones is not lost to rounding", "[model][flows]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    const Fabric f(two_level(4));
    std::vector<Message> all;
    for (int i = 0; i < 60; ++i) {
      const double bytes = std::pow(10, -3 + double(random() % 16));
      all.push_back({std::uint32_t(random() % 32), std::uint32_t(random() % 32), bytes});
    }
    const Exchange e = deliver(f, all);
    std::vector<LinkId> path;
    for (std::size_t i = 0; i < all.size(); ++i) {
      f.path(all[i].from, all[i].to, path);
      const Time waited = e.end[i] - f.latency(all[i].from, all[i].to);
      for (LinkId l : path) CHECK(waited.seconds() >= all[i].bytes / f.capacity(l).per_second() * (1 - 1e-9) - 1e-12);
      if (!path.empty()) CHECK(e.end[i] >= f.latency(all[i].from, all[i].to));
      CHECK(e.end[i] <= e.makespan);
    }
  }
}

TEST_CASE("the order of messages changes no end", "[model][flows]") {
  const Fabric f(two_level(4));
  auto messages = skewed_all_to_all(32, 1e6, 1, 3);
  const Exchange a = deliver(f, messages);
  std::vector<std::size_t> order(messages.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::shuffle(order, std::mt19937(1));
  std::vector<Message> shuffled;
  for (std::size_t i : order) shuffled.push_back(messages[i]);
  const Exchange b = deliver(f, shuffled);
  for (std::size_t i = 0; i < order.size(); ++i) CHECK(b.end[i] == a.end[order[i]]);
  CHECK(b.busy == a.busy);
}

TEST_CASE("what-ifs go the way they must", "[model][flows]") {
  const auto messages = all_to_all(64, 1e6);
  const auto time = [&](auto change) {
    FabricSpec s = two_level(8);
    change(s);
    return deliver(Fabric(s), messages).makespan;
  };
  const Time now = time([](FabricSpec&) {});
  CHECK(time([](FabricSpec& s) { s.nic = ByteRate(100e9); }) < now);
  CHECK(time([](FabricSpec& s) { s.nic = ByteRate(25e9); }) > now);
  CHECK(time([](FabricSpec& s) { s.nvlink = ByteRate(900e9); }) <= now);
  const Time twice = time([](FabricSpec& s) { s.topology.oversubscription = 2; });
  CHECK(twice >= now);
  CHECK(time([](FabricSpec& s) { s.topology.oversubscription = 4; }) > twice);
  CHECK(time([](FabricSpec& s) { s.topology.dead_nics = {5}; }) > now);
  CHECK(time([](FabricSpec& s) { s.topology.slow_nics = {5}; }) > now);
  CHECK(time([](FabricSpec& s) { s.topology.spreading = Spreading::ecmp; }) >= now);
}

TEST_CASE("an impossible fabric or message is refused by its key", "[model][flows]") {
  const auto refused = [](auto change) {
    FabricSpec s = two_level(2);
    change(s);
    try {
      Fabric f(s);
    } catch (const std::invalid_argument& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK_THAT(refused([](FabricSpec& s) { s.topology.oversubscription = 0; }),
             ContainsSubstring("fabric.oversubscription: "));
  CHECK_THAT(refused([](FabricSpec& s) { s.topology.dead_nics = {99}; }), ContainsSubstring("there is no GPU 99"));
  CHECK_THAT(refused([](FabricSpec& s) { s.topology.dead_nics = {0, 1, 2, 3, 4, 5, 6, 7}; }),
             ContainsSubstring("cannot be reached"));
  CHECK_THAT(refused([](FabricSpec& s) { s.nic = ByteRate(0); }), ContainsSubstring("machine.nic: "));
  CHECK_THROWS_AS(deliver(Fabric(two_level(1)), {{0, 8, 1}}), std::invalid_argument);
  CHECK_THROWS_AS(deliver(Fabric(two_level(1)), {{0, 1, std::nan("")}}), std::invalid_argument);
}
