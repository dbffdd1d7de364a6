#include "model/own_exchange.hpp"

#include <algorithm>
#include <stdexcept>

#include "model/collective.hpp"

namespace railcast {
namespace {

const OwnKernel& kernel_of(const OwnExchangeKernels& k, const OwnExchange& e) {
  if (e.low_latency) return e.combine ? k.low_latency_combine : k.low_latency_dispatch;
  return e.combine ? k.combine : k.dispatch;
}

void check(const Machine& m, const OwnExchange& e) {
  if (e.gpus < 1 || e.shape.ranks % e.gpus != 0)
    throw std::invalid_argument(std::to_string(e.shape.ranks) + " ranks cannot be dealt to " + std::to_string(e.gpus) +
                                " GPUs");
  if (e.gpus > m.gpus_per_node)
    throw std::invalid_argument("railcast's own exchange stays within a node of " + std::to_string(m.gpus_per_node) +
                                " GPUs, not " + std::to_string(e.gpus));
  if (!e.low_latency) check_sms(m, e.sms);
}

/// A row as it travels. In normal mode weights, experts and the token's number go with the scales, in pieces of 32.
double travelling(const OwnExchange& e) {
  const Dispatch& d = e.shape;
  const double row = row_bytes(d.hidden, d.dtype);
  if (e.combine || e.low_latency) return row;
  const auto scales = d.dtype == Dtype::fp8_block ? 4 * d.hidden / 128 : 0;
  return row - double(scales) + double((scales + 8 * d.top_k + 4 + 31) / 32 * 32);
}

double share(double amount, ByteRate rate) { return rate.per_second() > 0 ? amount / rate.per_second() : 0; }

}  // namespace

OwnBytes own_bytes(const OwnExchange& e) {
  const Dispatch& d = e.shape;
  const double tokens = double(d.tokens * d.ranks / e.gpus);
  const double copies = e.low_latency ? double(d.top_k) : expected_reach(d, d.ranks, e.router).gpus;
  const double rows = tokens * copies * travelling(e), far = 1 - 1.0 / double(e.gpus);
  // A low-latency dispatch reads BF16, and casts it.
  const Dtype read = e.low_latency && !e.combine ? Dtype::bf16 : d.dtype;
  return {rows * (1 - far), rows * far, tokens * row_bytes(d.hidden, read)};
}

ExchangeTime own_exchange(const Machine& m, const OwnExchangeKernels& k, const OwnExchange& e) {
  check(m, e);
  ExchangeTime t;
  if (e.shape.tokens == 0) return t;
  const OwnKernel& c = kernel_of(k, e);
  const OwnBytes b = own_bytes(e);
  const double sms = e.low_latency ? double(m.sms) : double(e.sms);
  const double copy = memory_rate(m, std::int64_t(sms)).per_second();
  const double warps = (share(b.local, c.local_sm) + share(b.remote, c.remote_sm)) / sms;
  const double nvlink = b.remote / (c.nvlink_share * m.nvlink.per_second());
  t.memory_bytes = b.local + b.remote + b.tokens;  // as much comes from the others as goes to them
  const double memory = t.memory_bytes / (c.memory_share * copy);
  t.total = c.start + (e.gpus > 1 ? c.peer : Time()) + Time::seconds(std::max({warps, nvlink, memory}));
  t.nvlink = nvlink / t.total.seconds(), t.warps = std::max(warps, memory) / t.total.seconds();
  t.nvlink_bytes = b.remote;
  return t;
}

}  // namespace railcast
