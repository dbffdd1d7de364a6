// What the benches between GPUs of this host share: times of the slowest GPU, and an exchange with its data on each.
#pragma once
#include <algorithm>
#include <cstdio>

#include "kernels/exchange_bench.hpp"
#include "kernels/rank_groups.hpp"

namespace railcast::kernels::layer {

constexpr int kWarm = 5;  ///< repetitions that are not counted

/// Events on every GPU's stream around the steps of some repetitions.
class Steps {
 public:
  Steps(const RankGroups& groups, int repetitions, int steps) : groups_(groups), steps_(steps) {
    for (const RankGroups::Group& g : groups.groups()) {
      const OnDevice here(g.gpu);
      events_.emplace_back(static_cast<std::size_t>(repetitions * (steps + 1)));
      for (cudaEvent_t& e : events_.back()) throw_unless(cudaEventCreate(&e), "creating an event");
    }
  }
  ~Steps() {
    for (auto& events : events_)
      for (cudaEvent_t e : events) cudaEventDestroy(e);
  }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  /// `flags`: cudaEventRecordExternal inside a graph.
  void record(std::size_t group, int repetition, int edge, unsigned flags = cudaEventRecordDefault) {
    throw_unless(cudaEventRecordWithFlags(at(group, repetition, edge), groups_.groups()[group].stream, flags),
                 "recording an event");
  }
  /// The slowest GPU's time from one edge to the other.
  double us(int repetition, int from, int to) const {
    double most = 0;
    for (std::size_t g = 0; g < events_.size(); ++g) {
      const OnDevice here(groups_.groups()[g].gpu);
      float ms = 0;
      throw_unless(cudaEventSynchronize(at(g, repetition, to)), "running an exchange");
      throw_unless(cudaEventElapsedTime(&ms, at(g, repetition, from), at(g, repetition, to)), "reading an event");
      most = std::max(most, ms * 1e3);
    }
    return most;
  }

 private:
  cudaEvent_t at(std::size_t group, int repetition, int edge) const {
    return events_[group][static_cast<std::size_t>(repetition * (steps_ + 1) + edge)];
  }
  const RankGroups& groups_;
  int steps_;
  std::vector<std::vector<cudaEvent_t>> events_;
};

/// p10, p50, p90 and their number.
inline Fields summary(std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double q) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f",
                  us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1) + 0.5)]);
    return std::string(text);
  };
  return {{"p10_us", at(0.1)}, {"p50_us", at(0.5)}, {"p90_us", at(0.9)}, {"samples", std::to_string(us.size())}};
}
/// "12.3"
inline std::string tenths(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", x);
  return text;
}
inline std::string rate(double bytes, const Fields& times) { return tenths(bytes / std::stod(times[1].second) / 1e3); }

/// The inputs and outputs of each GPU's ranks in its own memory.
class PeerExchange {
 public:
  PeerExchange(int ranks, std::int64_t tokens, const Domain& domain)
      : exchange(v3_exchange(ranks, tokens)), groups(ranks, window_of(exchange.shape).bytes, domain) {
    for (const RankGroups::Group& g : groups.groups()) {
      const OnDevice here(g.gpu);
      sides.push_back(std::make_unique<OnGpu>(exchange, g.peers));
      OnGpu& side = *sides.back();
      fill_codes(side.x, side.x.size(), 1, nullptr);
      fill_uniform(side.scales, side.scales.size(), 0.005F, 0.02F, 2, nullptr);
      for (int r = g.peers.first; r < g.peers.first + g.peers.local; ++r)
        fill_bf16(g.peers.window[r] + window_of(exchange.shape).y,
                  static_cast<std::size_t>(exchange.shape.rows() * exchange.shape.cols), 1.0F,
                  static_cast<std::uint32_t>(r), nullptr);
      for (int i = 0; i < g.peers.local; ++i) {
        side.args.rank[i] = side.args.rank[g.peers.first + i], side.back.rank[i] = side.back.rank[g.peers.first + i];
        side.back.rank[i].out_weights = nullptr;
      }
    }
    groups.wait();
    count_rows();
  }
  void count_rows() {
    const auto rows = reference::dispatched(exchange.shape, exchange.chosen);
    for (std::size_t d = 0; d < rows.size(); ++d)
      for (const reference::Sent& sent : rows[d]) {
        received += 1;
        crossing += &groups.group_of(sent.rank) != &groups.group_of(static_cast<int>(d));
      }
    received /= static_cast<double>(groups.groups().size()), crossing /= static_cast<double>(groups.groups().size());
  }
  Exchange exchange;
  RankGroups groups;
  std::vector<std::unique_ptr<OnGpu>> sides;
  double received = 0, crossing = 0;  ///< rows into a GPU's ranks; those of them from another GPU
};

}  // namespace railcast::kernels::layer
