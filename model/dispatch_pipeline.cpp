#include "model/dispatch_pipeline.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "model/collective.hpp"
#include "model/gating.hpp"
#include "model/pipeline.hpp"

namespace railcast {
namespace {

// Warps by role: DeepEP's intranode.cu and internode.cu at 3b1045d (2025-04-22).
constexpr double kIntranodeWarps = 24, kIbSendWarps = 7, kForwardWarps = 24, kIbReceiveWarps = 16;
constexpr std::int64_t kSimulatedTokens = 8192;  // more go on at the rate of the last half

/// Tokens of one channel for one node, in order: how many, and how many of them go to each GPU of that node.
struct TokenChunk {
  std::int32_t tokens = 0;
  std::vector<std::int32_t> to;  ///< by GPU of the node
};

/// [channel][node] -> chunks
using Channels = std::vector<std::vector<std::vector<TokenChunk>>>;

struct Sizes {
  std::int64_t per_node, nodes, channels;
};

Sizes sizes_of(const Machine& m, const NormalExchange& e) {
  const std::int64_t per_node = std::min(m.gpus_per_node, e.shape.ranks);
  if (per_node < 1 || e.shape.ranks % per_node != 0)
    throw std::invalid_argument(std::to_string(e.shape.ranks) + " ranks do not fill nodes of " +
                                std::to_string(per_node));
  if (e.sms < 2 || e.sms > m.sms)
    throw std::invalid_argument(std::to_string(e.sms) + " communication SMs; a channel takes two, the GPU has " +
                                std::to_string(m.sms));
  return {per_node, e.shape.ranks / per_node, e.sms / 2};
}

Channels route(const NormalExchange& e, const Sizes& s, std::int64_t tokens, std::int64_t chunk) {
  Gating gate(e.shape, e.router);
  const auto per_gpu = static_cast<std::uint64_t>(e.shape.experts / e.shape.ranks);
  const auto per_node = static_cast<std::size_t>(s.per_node);
  Channels channels(static_cast<std::size_t>(s.channels));
  for (auto& nodes : channels) nodes.resize(static_cast<std::size_t>(s.nodes));
  std::vector<std::int64_t> gpu_seen(static_cast<std::size_t>(e.shape.ranks), -1),
      node_seen(static_cast<std::size_t>(s.nodes), -1);
  for (std::int64_t token = 0; token < tokens; ++token) {
    auto& nodes = channels[static_cast<std::size_t>(token * s.channels / tokens)];
    for (const std::uint64_t expert : gate.route(token)) {
      const auto gpu = static_cast<std::size_t>(expert / per_gpu), node = gpu / per_node;
      auto& list = nodes[node];
      if (std::exchange(node_seen[node], token) != token) {
        if (list.empty() || list.back().tokens == chunk) list.push_back({0, std::vector<std::int32_t>(per_node)});
        ++list.back().tokens;
      }
      if (std::exchange(gpu_seen[gpu], token) != token) ++list.back().to[gpu % per_node];
    }
  }
  return channels;
}

/// A ring: a step that would hold tokens beyond its size waits for the step that frees them.
class Ring {
 public:
  explicit Ring(std::int64_t size) : size_(size) {}
  /// Makes `filler` wait for room for `tokens`.
  void fill(Pipeline& p, Pipeline::Id filler, std::int64_t tokens) {
    filled_ += tokens;
    while (next_ < freed_.size() && filled_ - freed_[next_].second > size_) ++next_;
    if (next_ > 0) p.link(freed_[next_ - 1].first, filler);
  }
  /// `step` frees what was filled before.
  void drain(Pipeline::Id step) { freed_.emplace_back(step, filled_); }

 private:
  std::int64_t size_, filled_ = 0;
  std::size_t next_ = 0;
  std::vector<std::pair<Pipeline::Id, std::int64_t>> freed_;  // step, tokens filled up to it
};

class Builder {
 public:
  Builder(const Machine& m, const ExchangeKernels& k, const NormalExchange& e, const Sizes& s)
      : m_(m), k_(k), e_(e), s_(s), bytes_(row_bytes(e.shape.hidden, e.shape.dtype)) {
    nvlink_ = p_.port(), nic_ = p_.port();
  }

  ExchangeTime run(const Channels& channels) {
    for (const auto& nodes : channels) {
      if (s_.nodes == 1) one_node(nodes[0]);
      if (s_.nodes > 1) e_.combine ? combine(nodes) : dispatch(nodes);
    }
    ExchangeTime t;
    t.total = p_.run();
    t.nvlink = p_.busy(nvlink_).seconds(), t.nic = p_.busy(nic_).seconds(), t.warps = p_.busiest_server().seconds();
    t.nvlink_bytes = nvlink_rows_ * bytes_, t.nic_bytes = nic_rows_ * bytes_;
    t.memory_bytes = memory_bytes(channels);
    return t;
  }

 private:
  using Id = Pipeline::Id;
  std::vector<Id> servers(std::int64_t n) {
    std::vector<Id> made;
    for (std::int64_t i = 0; i < n; ++i) made.push_back(p_.server());
    return made;
  }

  // Per node reached: token read, send buffer written and read by the NIC, receive buffer written. Per GPU reached:
  // receive buffer read, peer's ring written and read, output written. Combine does the reverse.
  double memory_bytes(const Channels& channels) const {
    double rows = 0;
    for (const auto& nodes : channels)
      for (const auto& list : nodes)
        for (const TokenChunk& c : list)
          rows += std::accumulate(c.to.begin(), c.to.end(), nodes.size() > 1 ? double(c.tokens) : 0.0);
    return 4 * rows * bytes_;
  }

  /// `rows` of which `found` are looked up or published one by one, by `warps` that share an SM with `on_sm` in all.
  Time work(double rows, double found, double warps, double on_sm) const {
    const double sm = 0.5 * memory_rate(m_, 1).per_second();  // read and write at once
    const double copy = std::max(bytes_ / k_.warp.per_second(), on_sm * bytes_ / sm);
    return Time::seconds((rows * copy + found * k_.row.seconds()) / warps);
  }

  /// A push of `rows` to GPU `to` of the node; this GPU is number 0 and needs no NVLink to itself.
  Id push(Id server, Time work, std::int64_t rows, std::size_t to) {
    Pipeline::Step s{server, Pipeline::kNone, work, {}, {}};
    if (to != 0) {
      s.port = nvlink_, s.latency = m_.nvlink_latency;
      s.transfer = Time::seconds(double(rows) * bytes_ / (k_.nvlink_share * m_.nvlink.per_second()));
      nvlink_rows_ += double(rows);
    }
    return p_.step(s);
  }

  Id send(std::int64_t rows) {
    nic_rows_ += double(rows);
    const double wire = double(rows) * bytes_ / (k_.nic_share * m_.nic.per_second());
    return p_.step({Pipeline::kNone, nic_, {}, Time::seconds(wire) + k_.message, m_.nic_latency});
  }

  using Ids = std::vector<Id>;
  using Rings = std::vector<Ring>;
  using Nodes = std::vector<std::vector<TokenChunk>>;

  /// A push to every GPU that the chunk reaches, kNone for the others. `share`: warps per GPU.
  Ids pushes(const TokenChunk& c, const Ids& servers, double share, double on_sm, Rings& rings) {
    Ids pushed(c.to.size(), Pipeline::kNone);
    for (std::size_t d = 0; d < c.to.size(); ++d) {
      if (c.to[d] == 0) continue;
      const Time published = (c.to[d] + e_.chunks.nvlink - 1) / e_.chunks.nvlink * k_.publish;
      pushed[d] = push(servers[d], work(c.to[d], c.to[d], share, on_sm) + published, c.to[d], d);
      rings[d].fill(p_, pushed[d], c.to[d]);
    }
    return pushed;
  }

  void receive(const TokenChunk& c, const Ids& pushed, const Ids& servers, double share, double on_sm, Rings& rings) {
    for (std::size_t d = 0; d < c.to.size(); ++d) {
      if (c.to[d] == 0) continue;
      const Id got = p_.step({servers[d], Pipeline::kNone, work(c.to[d], c.to[d], share, on_sm), {}, {}});
      p_.link(pushed[d], got);
      rings[d].drain(got);
    }
  }

  // Reads what the GPUs of a node pushed, writes one row per token.
  Id reduce(Id server, const TokenChunk& c, const Ids& pushed, Rings& rings, double warps) {
    const double rows = std::accumulate(c.to.begin(), c.to.end(), 0.0);
    const Id sum = p_.step({server, Pipeline::kNone, work(rows, c.tokens, warps, warps), {}, {}});
    for (std::size_t d = 0; d < pushed.size(); ++d) {
      if (pushed[d] == Pipeline::kNone) continue;
      p_.link(pushed[d], sum);
      rings[d].drain(sum);
    }
    return sum;
  }

  /// After `before`, over the NIC unless the node is this GPU's own (number 0).
  Id over_ib(std::size_t node, Id before, std::int64_t rows) {
    if (node == 0) return before;
    const Id sent = send(rows);
    p_.link(before, sent);
    return sent;
  }

  void one_node(const std::vector<TokenChunk>& chunks) {
    const double share = kIntranodeWarps / double(s_.per_node);
    const Ids senders = servers(s_.per_node), receivers = servers(s_.per_node);
    const Id reducer = p_.server();
    Rings rings(senders.size(), Ring(e_.chunks.nvlink_ring));
    for (const TokenChunk& c : chunks) {
      const Ids pushed = pushes(c, senders, share, kIntranodeWarps, rings);
      if (e_.combine) reduce(reducer, c, pushed, rings, kIntranodeWarps - 1);
      if (!e_.combine) receive(c, pushed, receivers, share, kIntranodeWarps, rings);
    }
  }

  /// Chunk k of every node before chunk k + 1 of any: senders take the nodes in turn.
  template <class Visit>
  static void in_turns(const Nodes& nodes, const Visit& visit) {
    std::size_t most = 0;
    for (const auto& list : nodes) most = std::max(most, list.size());
    for (std::size_t k = 0; k < most; ++k)
      for (std::size_t n = 0; n < nodes.size(); ++n)
        if (k < nodes[n].size()) visit(n, nodes[n][k]);
  }

  void dispatch(const Nodes& nodes) {
    const double on_sm = double(s_.per_node);
    const Id sender = p_.server();
    const Ids forwarders = servers(s_.per_node), receivers = servers(s_.per_node);
    Rings nvlink(forwarders.size(), Ring(e_.chunks.nvlink_ring)), ib(nodes.size(), Ring(e_.chunks.ib_ring));
    in_turns(nodes, [&](std::size_t n, const TokenChunk& c) {
      const Time work_here = work(c.tokens, c.tokens, kIbSendWarps, kIbSendWarps);
      const Id filled = p_.step({sender, Pipeline::kNone, work_here, {}, {}});
      ib[n].fill(p_, filled, c.tokens);
      const Id there = over_ib(n, filled, c.tokens);
      const Ids pushed = pushes(c, forwarders, 1, on_sm, nvlink);
      // The ring's head moves when all forwarders are past the chunk; it travels back as a message.
      const Id head = p_.step({Pipeline::kNone, Pipeline::kNone, {}, {}, n != 0 ? m_.nic_latency : Time()});
      for (const Id push : pushed)
        if (push != Pipeline::kNone) p_.link(there, push), p_.link(push, head);
      receive(c, pushed, receivers, 1, on_sm, nvlink);
      ib[n].drain(head);
    });
  }

  void combine(const Nodes& nodes) {
    const double warps = std::max(1.0, kForwardWarps / double(nodes.size()));
    const Ids senders = servers(s_.per_node), forwarders = servers(s_.nodes);
    const Id receiver = p_.server();
    Rings nvlink(senders.size(), Ring(e_.chunks.nvlink_ring)), ib(nodes.size(), Ring(e_.chunks.ib_ring));
    in_turns(nodes, [&](std::size_t n, const TokenChunk& c) {
      const Ids pushed = pushes(c, senders, 1, double(s_.per_node), nvlink);
      const Id sum = reduce(forwarders[n], c, pushed, nvlink, warps);
      ib[n].fill(p_, sum, c.tokens);
      const Time work_here = work(c.tokens, c.tokens, kIbReceiveWarps, kIbReceiveWarps);
      const Time head = n != 0 ? m_.nic_latency : Time();
      const Id got = p_.step({receiver, Pipeline::kNone, work_here, {}, head});
      p_.link(over_ib(n, sum, c.tokens), got);
      ib[n].drain(got);
    });
  }

  const Machine& m_;
  const ExchangeKernels& k_;
  const NormalExchange& e_;
  const Sizes& s_;
  double bytes_, nvlink_rows_ = 0, nic_rows_ = 0;
  Pipeline p_;
  Id nvlink_ = 0, nic_ = 0;
};

ExchangeTime simulated(const Machine& m, const ExchangeKernels& k, const NormalExchange& e, std::int64_t tokens) {
  const Sizes s = sizes_of(m, e);
  const std::int64_t chunk = s.nodes == 1 ? e.chunks.nvlink : e.chunks.ib;
  if (chunk < 1 || e.chunks.nvlink < 1 || e.chunks.ib_ring < e.chunks.ib || e.chunks.nvlink_ring < e.chunks.nvlink)
    throw std::invalid_argument("a chunk has one token at least and fits in its ring");
  return Builder(m, k, e, s).run(route(e, s, tokens, chunk));
}

}  // namespace

// deep_ep/buffer.py at 3b1045d: get_dispatch_config, get_combine_config.
ExchangeChunks default_chunks(std::int64_t ranks, std::int64_t ranks_per_node, bool combine) {
  if (ranks <= ranks_per_node) return {combine ? 4 : 6, 1, 256, 128};
  if (ranks <= 16) return {combine ? 4 : 36, combine ? 12 : 20, 288, 128};
  if (ranks <= 64) return {combine ? 1 : 32, 8, 288, 128};
  return {combine ? 1 : 20, 12, 560, 128};
}

ExchangeTime normal_exchange(const Machine& m, const ExchangeKernels& k, const NormalExchange& e) {
  ExchangeTime t;
  if (e.shape.ranks == 1 || e.shape.tokens == 0) return t;
  const std::int64_t tokens = std::min(e.shape.tokens, kSimulatedTokens);
  t = simulated(m, k, e, tokens);
  if (tokens < e.shape.tokens) {
    const ExchangeTime half = simulated(m, k, e, tokens / 2);
    const double more = double(e.shape.tokens - tokens) / double(tokens - tokens / 2);
    const auto on = [&](double at, double half_at) { return at + more * (at - half_at); };
    t = {Time::seconds(on(t.total.seconds(), half.total.seconds())),
         on(t.nic, half.nic),
         on(t.nvlink, half.nvlink),
         on(t.warps, half.warps),
         on(t.nic_bytes, half.nic_bytes),
         on(t.nvlink_bytes, half.nvlink_bytes),
         on(t.memory_bytes, half.memory_bytes)};
  }
  t.total += k.start;
  for (double* share : {&t.nic, &t.nvlink, &t.warps}) *share /= t.total.seconds();
  return t;
}

}  // namespace railcast
