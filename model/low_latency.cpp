#include "model/low_latency.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "model/collective.hpp"

namespace railcast {
namespace {

constexpr double kWarps = 32;   // of an SM; a warp per message (internode_ll.cu at a8299ca)
constexpr double kHeader = 16;  // bytes before a dispatched row

void check(const Machine& m, const LowLatencyExchange& e) {
  const Dispatch& d = e.shape;
  if (d.ranks < 1 || d.experts % d.ranks != 0)
    throw std::invalid_argument("the experts (" + std::to_string(d.experts) + ") do not divide over the ranks (" +
                                std::to_string(d.ranks) + ")");
  if (d.ranks > m.gpus_per_node && d.ranks % m.gpus_per_node != 0)
    throw std::invalid_argument(std::to_string(d.ranks) + " ranks do not fill nodes of " +
                                std::to_string(m.gpus_per_node));
  if (d.top_k < 1 || d.top_k > d.experts)
    throw std::invalid_argument("top_k " + std::to_string(d.top_k) + " of " + std::to_string(d.experts) + " experts");
}

/// Selections of one rank by how far they go, by symmetry of the experts.
struct Messages {
  double all, near, far, signals;  ///< signals: one per expert beyond the node
};

Messages messages_of(const Machine& m, const LowLatencyExchange& e) {
  const Dispatch& d = e.shape;
  const double ranks = double(d.ranks), node = std::min(double(m.gpus_per_node), ranks);
  Messages n{};
  n.all = double(d.tokens * d.top_k);
  n.near = e.nvlink ? n.all * (node - 1) / ranks : 0;
  n.far = n.all * (ranks - 1) / ranks - n.near;
  n.signals = double(d.experts) * n.far / n.all;
  return n;
}

}  // namespace

double message_bytes(const LowLatencyExchange& e) {
  return row_bytes(e.shape.hidden, e.shape.dtype) + (e.combine ? 0 : kHeader);
}

LowLatencyTime low_latency_exchange(const Machine& m, const ExchangeKernels& k, const LowLatencyExchange& e) {
  check(m, e);
  LowLatencyTime t;
  if (e.shape.ranks == 1 || e.shape.tokens == 0) return t;
  const Messages n = messages_of(m, e);
  const double bytes = message_bytes(e), memory = memory_rate(m, m.sms).per_second();
  // A dispatching SM takes a token at a time, a warp per selection; a combining one a message per warp.
  const double rounds =
      e.combine ? std::ceil(n.all / (kWarps * double(m.sms)))
                : std::ceil(double(e.shape.tokens) / double(m.sms)) * std::ceil(double(e.shape.top_k) / kWarps);
  const double round = k.row.seconds() + bytes / k.warp.per_second();
  const double nic = n.far * bytes / (k.nic_share * m.nic.per_second()) + (n.far + n.signals) * k.message.seconds();
  const double nvlink = n.near * bytes / (k.nvlink_share * m.nvlink.per_second());
  // Dispatch: each row read where it arrived and written to its expert's. Combine: read, one row per token written.
  const double written = e.combine ? double(e.shape.tokens) : n.all;
  const double copy = (n.all + written) * bytes / memory;
  const Time flight = n.far > 0 ? m.nic_latency : m.nvlink_latency;
  t.send = Time::seconds(rounds * round);
  t.receive = Time::seconds(copy);
  // The ports start when the first round's rows are there.
  t.total = k.start + Time::seconds(round + std::max({nic, nvlink, (rounds - 1) * round})) + flight + t.receive;
  t.nic = nic / t.total.seconds(), t.nvlink = nvlink / t.total.seconds();
  t.nic_bytes = n.far * bytes, t.nvlink_bytes = n.near * bytes;
  return t;
}

}  // namespace railcast
