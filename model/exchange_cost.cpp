#include "model/exchange_cost.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "model/dispatch_pipeline.hpp"

namespace railcast {
namespace {

class Remembering : public CostModel {
 public:
  explicit Remembering(std::unique_ptr<CostModel> costs) : costs_(std::move(costs)) {}

  Cost cost(const Shape& s, std::int64_t sms) const override {
    return std::visit(
        [&](const auto& x) {
          if constexpr (requires { x.top_groups; }) return scaled(x, sms);
          return costs_->cost(s, sms);
        },
        s);
  }

 private:
  // Loads differ by layer and rank: each distinct count of tokens would be a simulation of its own, and work is in
  // proportion to tokens well within a step of 256 (0.3 % at 1280).
  template <class Exchange>
  Cost scaled(Exchange e, std::int64_t sms) const {
    constexpr std::int64_t kStep = 256, kExact = 1024;
    const auto tokens = static_cast<double>(e.tokens);
    if (e.tokens > kExact) e.tokens = (e.tokens + kStep - 1) / kStep * kStep;
    Cost c = known(e, sms);
    if (e.tokens > kExact) c.work = Time::seconds(c.work.seconds() * tokens / static_cast<double>(e.tokens));
    return c;
  }
  Cost known(const Shape& s, std::int64_t sms) const {
    const std::lock_guard lock(mutex_);
    const auto known = std::ranges::find_if(known_, [&](const auto& k) { return k.sms == sms && k.shape == s; });
    if (known != known_.end()) return known->cost;
    return known_.emplace_back(s, sms, costs_->cost(s, sms)).cost;
  }

  struct Known {
    Known(const Shape& s, std::int64_t n, Cost c) : shape(s), sms(n), cost(std::move(c)) {}
    Shape shape;
    std::int64_t sms;
    Cost cost;
  };
  std::unique_ptr<CostModel> costs_;
  mutable std::mutex mutex_;
  mutable std::vector<Known> known_;
};

}  // namespace

Time notify_time(const ExchangeKernels& k, std::int64_t tokens) {
  return Time::seconds(k.layout.seconds() * static_cast<double>(tokens) / 4096) + k.notify;
}

Cost pipeline_cost(const Machine& m, const Dispatch& d, bool combine, std::int64_t sms) {
  check_sms(m, sms);
  Cost c;
  c.source = m.exchange.source + ": constants fitted to DeepEP's tables of H800";
  if (d.ranks == 1 || d.tokens == 0) return c;
  const std::int64_t used = std::max<std::int64_t>(2, sms);
  const ExchangeChunks& chosen = combine ? m.exchange.combine : m.exchange.dispatch;
  const ExchangeChunks chunks = chosen.nvlink > 0 ? chosen : default_chunks(d.ranks, m.gpus_per_node, combine);
  const ExchangeTime t = normal_exchange(m, m.exchange, {d, combine, GroupScore::top2_sum, used, chunks});
  const double slower = sms < 2 ? 2 : 1, work = slower * (t.total - m.exchange.start).seconds();
  const double share = t.total.seconds() / work;  // of the work, where the ports are busy
  c.latency = m.exchange.start + (d.notify ? notify_time(m.exchange, d.tokens) : Time());
  c.work = Time::seconds(work);
  c.drawn(Draw::nic) = std::min(1.0, t.nic * share);
  c.drawn(Draw::nvlink) = std::min(1.0, t.nvlink * share);
  c.drawn(Draw::hbm) = std::min(1.0, t.memory_bytes / memory_rate(m, m.sms).per_second() / work);
  c.drawn(Draw::power) = kPowerPerHbm * c.drawn(Draw::hbm);
  return c;
}

std::unique_ptr<CostModel> remembering(std::unique_ptr<CostModel> costs) {
  return std::make_unique<Remembering>(std::move(costs));
}

}  // namespace railcast
