#include "model/zero_copy.hpp"

#include <algorithm>

#include "model/collective.hpp"

namespace railcast {

ExchangeTime zero_copy_exchange(const Machine& m, const ExchangeKernels& k, const NormalExchange& e) {
  check_sms(m, e.sms);
  ExchangeTime t;
  if (e.shape.ranks == 1 || e.shape.tokens == 0) return t;
  const Reach r = expected_reach(e.shape, m.gpus_per_node, e.router);
  const double rows = static_cast<double>(e.shape.tokens) * row_bytes(e.shape.hidden, e.shape.dtype);
  t.nic_bytes = rows * r.remote_nodes, t.nvlink_bytes = rows * r.remote_gpus_in_node;
  t.memory_bytes = 2 * rows * (r.gpus + r.remote_nodes);
  const double nic = t.nic_bytes / (k.nic_share * m.nic.per_second());
  const double nvlink = t.nvlink_bytes / (k.nvlink_share * m.nvlink.per_second());
  const double copy = t.memory_bytes / memory_rate(m, e.sms).per_second();
  const Time flight = r.remote_nodes > 0 ? m.nic_latency + m.nvlink_latency : m.nvlink_latency;
  t.total = k.start + flight + Time::seconds(std::max({nic, nvlink, copy}));
  t.nic = nic / t.total.seconds(), t.nvlink = nvlink / t.total.seconds(), t.warps = copy / t.total.seconds();
  return t;
}

}  // namespace railcast
