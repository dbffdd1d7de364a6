#include "model/collective.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "model/exchange_cost.hpp"

namespace railcast {
namespace {

// "20 SMs are enough to use the bandwidth of IB and NVLink fully" (arXiv 2412.19437, 3.2.2; DeepEP's default too).
// Assumed: below that the port rates fall in proportion; DeepEP V2 needs fewer (4 to 12).
constexpr double kSmsForPorts = 20;

/// One rank's bytes in one direction, per port, and through its device memory (reads and writes).
struct Traffic {
  double nic = 0, nvlink = 0, memory = 0;
};

// NVLink's bytes go as `path` says, after its latency; `between` comes on top.
Cost over_ports(const Machine& m, const Traffic& t, const NcclPath& path, Time between, std::int64_t sms) {
  check_sms(m, sms);
  const double share = std::min(1.0, static_cast<double>(sms) / kSmsForPorts);
  const double nic = t.nic / m.nic_effective.per_second(), nvlink = t.nvlink / path.rate.per_second();
  const double work = std::max({nic / share, nvlink / share, t.memory / memory_rate(m, sms).per_second()});
  Cost c;
  c.source = m.path + ": nic_effective, nvlink_effective" + (m.nccl.known() ? "; " + m.nccl.source : "");
  if (work == 0) return c;
  c.latency = path.latency + between;
  c.work = Time::seconds(work);
  c.drawn(Draw::nic) = nic / work;
  c.drawn(Draw::nvlink) = std::min(1.0, t.nvlink / m.nvlink_effective.per_second() / work);
  c.drawn(Draw::hbm) = std::min(1.0, t.memory / memory_rate(m, m.sms).per_second() / work);
  c.drawn(Draw::power) = kPowerPerHbm * c.drawn(Draw::hbm);
  return c;
}

/// A hierarchical ring: NVLink within nodes, NICs between, both busy at once.
struct Ring {
  double bytes, ranks, per_node;
  double nodes() const { return std::ceil(ranks / per_node); }
  /// Bytes out of each rank in one pass (reduce-scatter or all-gather): the in-node part over NVLink; between
  /// nodes each NIC carries its 1/per_node of the vector.
  Traffic pass() const {
    const double nvlink = bytes * (per_node - 1) / per_node;
    const double nic = bytes / per_node * (nodes() - 1) / nodes();
    return {nic, nvlink, 3 * (nic + nvlink)};  // sent: read; received: written, and read again to be used
  }
};

std::int64_t depth(double n) { return static_cast<std::int64_t>(std::ceil(std::log2(std::max(1.0, n)))); }

/// Without NCCL's figures: a kernel, and a tree's depth of NVLink latencies.
NcclPath plain_path(const Machine& m, std::int64_t passes, double per_node) {
  return {m.kernel_launch + passes * depth(per_node) * m.nvlink_latency, m.nvlink_effective};
}

NcclPath path_within(const Machine& m, const Ring& r, std::int64_t passes) {
  const auto ranks = static_cast<std::int64_t>(r.per_node);
  if (!m.nccl.known() || ranks == 1) return plain_path(m, passes, r.per_node);
  const bool switched = m.topology.inside == Inside::nvswitch;
  const double wire = static_cast<double>(passes) * r.pass().nvlink;
  return ring_path(m.nccl, passes, ranks, wire, m.nvlink_effective, switched);
}

/// A ring between nodes waits for every other node; all_reduce goes up and down a tree where that is shallower.
Time between_nodes(const Machine& m, const Ring& r, std::int64_t passes) {
  const auto others = static_cast<std::int64_t>(r.nodes()) - 1;
  return passes * (passes == 2 ? std::min(others, depth(r.nodes())) : others) * m.nic_latency;
}

template <class C>
Ring ring_of(const C& c) {
  const double per_node = static_cast<double>(std::max<std::int64_t>(1, std::min(c.ranks, c.ranks_per_node)));
  return {static_cast<double>(c.bytes), static_cast<double>(c.ranks), per_node};
}

NcclPath path_within(const Machine& m, const AllReduce& s) { return path_within(m, ring_of(s), 2); }
NcclPath path_within(const Machine& m, const AllGather& s) { return path_within(m, ring_of(s), 1); }
NcclPath path_within(const Machine& m, const ReduceScatter& s) { return path_within(m, ring_of(s), 1); }

NcclPath path_within(const Machine& m, const AllToAll& s) {
  const Ring r = ring_of(s);
  const bool near = r.per_node == r.ranks;
  if (!m.nccl.known() || r.per_node == 1)
    return {m.kernel_launch + (near ? m.nvlink_latency : Time()), m.nvlink_effective};
  const double wire = r.bytes * (r.per_node - 1) / r.ranks;
  return peer_path(m.nccl, static_cast<std::int64_t>(r.per_node), wire, m.nvlink_effective);
}

Cost ring_cost(const Machine& m, const Ring& r, std::int64_t passes, std::int64_t sms) {
  const Traffic one = r.pass();
  const auto n = static_cast<double>(passes);
  return over_ports(m, {n * one.nic, n * one.nvlink, n * one.memory}, path_within(m, r, passes),
                    between_nodes(m, r, passes), sms);
}

Cost cost_of(const Machine& m, const AllReduce& s, std::int64_t sms) { return ring_cost(m, ring_of(s), 2, sms); }
Cost cost_of(const Machine& m, const AllGather& s, std::int64_t sms) { return ring_cost(m, ring_of(s), 1, sms); }
Cost cost_of(const Machine& m, const ReduceScatter& s, std::int64_t sms) { return ring_cost(m, ring_of(s), 1, sms); }

Cost cost_of(const Machine& m, const AllToAll& s, std::int64_t sms) {
  const Ring r = ring_of(s);
  const double nic = r.bytes * (r.ranks - r.per_node) / r.ranks, nvlink = r.bytes * (r.per_node - 1) / r.ranks;
  return over_ports(m, {nic, nvlink, 2 * (nic + nvlink)}, path_within(m, s), nic > 0 ? m.nic_latency : Time(), sms);
}

// Sent by the NIC or a copy engine out of the sender's memory into the receiver's: no SMs to speak of.
Cost cost_of(const Machine& m, const SendRecv& s, std::int64_t /*sms*/) {
  const double bytes = static_cast<double>(s.bytes);
  const NcclPath path{m.kernel_launch, m.nvlink_effective};
  if (s.same_node) return over_ports(m, {0, bytes, 2 * bytes}, path, m.nvlink_latency, m.sms);
  return over_ports(m, {bytes, 0, 2 * bytes}, path, m.nic_latency, m.sms);
}

Cost either_way(const Machine& m, const Dispatch& d, bool combine, std::int64_t sms) {
  if (m.exchange.known()) return pipeline_cost(m, d, combine, sms);
  return exchange_cost(m, d, expected_reach(d, m.gpus_per_node), sms);
}

Cost cost_of(const Machine& m, const Dispatch& d, std::int64_t sms) { return either_way(m, d, false, sms); }

Cost cost_of(const Machine& m, const Combine& c, std::int64_t sms) {
  const Dispatch d{c.tokens, c.hidden, c.experts, c.top_k, c.ranks, c.groups, c.top_groups, c.dtype};
  return either_way(m, d, true, sms);
}

}  // namespace

double row_bytes(std::int64_t hidden, Dtype d) {
  return static_cast<double>(hidden) * (bytes_per_element(d) + (d == Dtype::fp8_block ? 4.0 / 128 : 0.0));
}

Cost exchange_cost(const Machine& m, const Dispatch& d, const Reach& r, std::int64_t sms) {
  if (d.ranks == 1) return {};
  const double rows = static_cast<double>(d.tokens) * row_bytes(d.hidden, d.dtype);
  const bool between = r.remote_nodes > 0;
  // Per node reached: token read, send buffer written and read by the NIC, receive buffer written. Per GPU reached:
  // receive buffer read, peer's ring written and read, output written.
  const double memory = 4 * rows * ((between ? r.nodes : 0.0) + r.gpus);
  const NcclPath path{m.kernel_launch + m.nvlink_latency, m.nvlink_effective};
  const Time between_them = between ? m.nic_latency : Time{};
  return over_ports(m, {rows * r.remote_nodes, rows * r.remote_gpus_in_node, memory}, path, between_them, sms);
}

NcclPath nvlink_path(const Machine& m, const Shape& s) {
  return std::visit(
      [&](const auto& x) -> NcclPath {
        if constexpr (requires { path_within(m, x); }) return path_within(m, x);
        return {m.kernel_launch + m.nvlink_latency, m.nvlink_effective};
      },
      s);
}

Cost collective_cost(const Machine& m, const Shape& s, std::int64_t sms) {
  return std::visit(
      [&](const auto& x) -> Cost {
        if constexpr (requires { cost_of(m, x, sms); }) return cost_of(m, x, sms);
        throw std::invalid_argument(std::string(stem(s)) + " is no collective");
      },
      s);
}

}  // namespace railcast
