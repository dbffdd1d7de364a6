#include "model/collective_flows.hpp"

#include <rapidcheck.h>
#include <algorithm>
#include <map>

#include "model/job.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;

namespace {

Machine ported() {
  Machine m;
  m.nvlink = m.nvlink_effective = ByteRate(450e9), m.nic = m.nic_effective = ByteRate(50e9);
  m.nvlink_latency = Time::seconds(1e-6), m.nic_latency = Time::seconds(3e-6);
  m.sms = 132, m.gpus_per_node = 8, m.hbm = ByteRate(3.35e12);
  return m;
}

Job job(Pattern pattern, std::int64_t gpus, double bytes) {
  Job j;
  j.pattern = pattern, j.gpus = gpus, j.bytes = bytes;
  return j;
}

Time by_flows(const Job& j, const Machine& m, std::int64_t nodes) {
  const Fabric f(fabric_of(m, nodes));
  const auto all = messages_of(j, as_seen(m, j.library));
  return end_of(j, as_seen(m, j.library), f, deliver(f, all), all, 0, all.size());
}

double gap(Time a, Time b) { return std::abs(a.seconds() / b.seconds() - 1); }

/// Bytes out of and into each GPU.
std::map<std::uint32_t, std::pair<double, double>> balance(const std::vector<Message>& all) {
  std::map<std::uint32_t, std::pair<double, double>> b;
  for (const Message& m : all) b[m.from].first += m.bytes, b[m.to].second += m.bytes;
  return b;
}

}  // namespace

TEST_CASE("one op and its flows agree within 1 % where both apply", "[model][flows][gang]") {
  const Machine m = ported();
  for (const auto& [pattern, bytes] : {std::pair{Pattern::all_to_all, 1e6}, std::pair{Pattern::all_gather, 1e9},
                                       std::pair{Pattern::reduce_scatter, 1e8}, std::pair{Pattern::all_reduce, 1e9}})
    for (const auto& [gpus, nodes] :
         {std::pair{8, 1}, std::pair{4, 1}, std::pair{16, 2}, std::pair{64, 8}, std::pair{256, 32}}) {
      const Job j = job(pattern, gpus, bytes);
      INFO(int(pattern) << " on " << gpus);
      CHECK(gap(by_flows(j, m, nodes), as_one_op(j, as_seen(m, j.library))->total()) < 0.01);
    }
}

TEST_CASE("a tree carries twice the vector, a ring a little less", "[model][flows]") {
  const Machine m = ported();
  Job tree = job(Pattern::all_reduce, 64, 1e9), ring = tree;
  tree.algorithm = Algorithm::tree;
  const double ratio = by_flows(tree, m, 8).seconds() / by_flows(ring, m, 8).seconds();
  CHECK(ratio >= 1);
  CHECK(ratio < 8.0 / 7 * 1.01);
}

TEST_CASE("in a tree every node has one way to the root", "[model][flows]") {
  for (std::int64_t n = 1; n < 70; ++n) {
    const auto parents = tree_parents(n);
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t at = i, steps = 0;
      for (; parents[std::size_t(at)] >= 0 && steps <= 2 * n; ++steps) at = parents[std::size_t(at)];
      CHECK(at == 0);
      CHECK(steps <= 1 + std::int64_t(std::ceil(std::log2(double(std::max<std::int64_t>(n, 2))))));
      CHECK(std::ranges::count(parents, i) <= 2);  // a binary tree
    }
    for (std::int64_t i = 1; i < n; i += 2) CHECK(std::ranges::count(parents, i) == 0);
  }
}

TEST_CASE("collectives move the bytes that they must, in and out alike", "[model][flows][property]") {
  CHECK(rc::check("reduce-scatter and all-gather: (n-1)/n in the node, the rest by rail", [] {
    const std::int64_t nodes = *rc::gen::inRange<std::int64_t>(1, 9),
                       bytes = *rc::gen::inRange<std::int64_t>(1, 1 << 30);
    const auto all = ring_flows({0, nodes * 8, 8}, double(bytes), 1);
    const double each = double(bytes) * (7.0 / 8 + 1.0 / 8 * double(nodes - 1) / double(nodes));
    for (const auto& [gpu, b] : balance(all)) {
      RC_ASSERT(std::abs(b.first / each - 1) < 1e-9);
      RC_ASSERT(std::abs(b.second / each - 1) < 1e-9);
    }
    RC_ASSERT(std::ssize(balance(all)) == nodes * 8);
  }));
  CHECK(rc::check("an all-to-all-v delivers what it is given", [] {
    const auto n = *rc::gen::inRange<std::size_t>(2, 24);
    std::vector<std::vector<double>> counts(n, std::vector<double>(n));
    double sent = 0;
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j)
        counts[i][j] = double(*rc::gen::inRange(0, 1000)), sent += i == j ? 0 : counts[i][j];
    Machine m = ported();
    m.gpus_per_node = 1;
    const Fabric f(fabric_of(m, std::int64_t(n)));
    const auto all = all_to_all_v({0, std::int64_t(n), 1}, counts);
    const Exchange e = deliver(f, all);
    double in = 0, out = 0;
    for (LinkId l = 0; l < 4 * n; ++l) {
      const double bytes = e.busy[l] * e.makespan.seconds() * f.capacity(l).per_second();
      (l % 4 == 3 ? in : out) += l % 4 >= 2 ? bytes : 0;
    }
    RC_ASSERT(std::abs(in - sent) < 1e-6 * (1 + sent));
    RC_ASSERT(std::abs(out - sent) < 1e-6 * (1 + sent));
  }));
}

TEST_CASE("the order in which jobs are given changes no end", "[model][flows]") {
  const Machine m = ported();
  const Fabric f(fabric_of(m, 4));
  auto a = messages_of(job(Pattern::all_reduce, 16, 1e8), m);
  Job second = job(Pattern::all_to_all, 16, 1e6);
  second.first_gpu = 16, second.sigma = 1;
  const auto b = messages_of(second, m);
  auto ab = a, ba = b;
  ab.insert(ab.end(), b.begin(), b.end()), ba.insert(ba.end(), a.begin(), a.end());
  const Exchange x = deliver(f, ab), y = deliver(f, ba);
  for (std::size_t i = 0; i < ab.size(); ++i) CHECK(x.end[i] == y.end[(i + b.size()) % ab.size()]);
}

TEST_CASE("part of several nodes is no place for a collective", "[model][flows]") {
  CHECK_THROWS_WITH(ring_flows({4, 8, 8}, 1e6, 1), ContainsSubstring("unequally"));
  CHECK(ring_flows({4, 4, 8}, 1e6, 1).size() == 4);
}
