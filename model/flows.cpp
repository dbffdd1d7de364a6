#include "model/flows.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <queue>
#include <span>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace railcast {
namespace {

// Messages and the links of each, in compressed rows, both ways.
struct Incidence {
  std::vector<std::uint32_t> path_begin{0}, message_begin;
  std::vector<LinkId> paths;
  std::vector<std::uint32_t> messages;

  Incidence(const Fabric& f, const std::vector<Message>& all) {
    std::vector<LinkId> path;
    message_begin.assign(f.links() + 1, 0);
    path_begin.reserve(all.size() + 1);
    for (const Message& m : all) {
      f.path(m.from, m.to, path);
      paths.insert(paths.end(), path.begin(), path.end());
      path_begin.push_back(static_cast<std::uint32_t>(paths.size()));
      for (LinkId l : path) ++message_begin[l + 1];
    }
    for (std::size_t l = 0; l < f.links(); ++l) message_begin[l + 1] += message_begin[l];
    messages.resize(paths.size());
    auto next = message_begin;
    for (std::uint32_t m = 0; m < all.size(); ++m)
      for (LinkId l : path_of(m)) messages[next[l]++] = m;
  }
  std::span<const LinkId> path_of(std::uint32_t m) const {
    return {paths.data() + path_begin[m], path_begin[m + 1] - path_begin[m]};
  }
  std::span<const std::uint32_t> messages_on(LinkId l) const {
    return {messages.data() + message_begin[l], message_begin[l + 1] - message_begin[l]};
  }
};

// What earlier, busier links have left of each link: bytes still to place, and rate.
class Filling {
 public:
  Filling(const Fabric& f, const std::vector<Message>& all) : all_(all), at_(f, all), seconds_(all.size(), -1) {
    bytes_.resize(f.links()), left_.resize(f.links()), open_.resize(f.links());
    for (std::uint32_t m = 0; m < all.size(); ++m)
      for (LinkId l : at_.path_of(m)) bytes_[l] += all[m].bytes, ++open_[l];
    for (LinkId l = 0; l < f.links(); ++l) {
      left_[l] = f.capacity(l).per_second();
      if (bytes_[l] > 0) queue_.push({bytes_[l] / left_[l], l});
      if (bytes_[l] > 0) last_ = std::max(last_, bytes_[l] / left_[l]);
    }
  }
  const std::vector<double>& bytes() const { return bytes_; }

  /// Seconds to the end of each message, latency apart.
  std::vector<double> run() {
    while (!queue_.empty()) {
      const auto [time, link] = queue_.top();
      queue_.pop();
      if (open_[link] == 0) continue;
      const double now = seconds_of(link);
      if (now < time) {  // others took their part since
        queue_.push({now, link});
        continue;
      }
      last_ = now;
      for (std::uint32_t m : at_.messages_on(link))
        if (seconds_[m] < 0) place(m, now);
    }
    return std::move(seconds_);
  }

 private:
  // What is left of a nearly full link is rounding: no later link is busier than the last one.
  double seconds_of(LinkId l) const {
    return bytes_[l] > 0 && left_[l] > 0 ? std::min(last_, bytes_[l] / left_[l]) : last_;
  }
  void place(std::uint32_t m, double seconds) {
    seconds_[m] = seconds;
    for (LinkId l : at_.path_of(m)) {
      --open_[l];
      bytes_[l] -= all_[m].bytes;
      left_[l] -= all_[m].bytes / seconds;
    }
  }
  struct Full {
    double seconds;
    LinkId link;
    bool operator<(const Full& o) const { return seconds != o.seconds ? seconds < o.seconds : link > o.link; }
  };
  const std::vector<Message>& all_;
  Incidence at_;
  std::vector<double> seconds_, bytes_, left_;
  std::vector<std::uint32_t> open_;  ///< messages without a time yet, by link
  double last_ = 0;                  ///< of the link filled last
  std::priority_queue<Full> queue_;
};

void check(const Fabric& f, const std::vector<Message>& messages) {
  for (const Message& m : messages) {
    if (m.from >= f.gpus() || m.to >= f.gpus()) throw std::invalid_argument("a message to or from an unknown GPU");
    if (!(m.bytes >= 0) || !std::isfinite(m.bytes)) throw std::invalid_argument("a message of an impossible size");
  }
}

double unit(std::uint64_t x) {  // (0, 1), SplitMix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return (static_cast<double>((x ^ (x >> 31)) >> 11) + 0.5) * 0x1p-53;
}

// Sums of doubles depend on their order: messages are taken by pair, then size, whatever order they come in.
auto by_pair(const Message& m) { return std::tuple(m.from, m.to, m.bytes); }

Exchange deliver_in_order(const Fabric& f, const std::vector<Message>& messages) {
  Filling filling(f, messages);
  Exchange e;
  e.busy = filling.bytes();
  for (LinkId l = 0; l < f.links(); ++l) e.busy[l] /= f.capacity(l).per_second();
  if (!e.busy.empty()) e.bottleneck = static_cast<LinkId>(std::ranges::max_element(e.busy) - e.busy.begin());
  e.port_bound = Time::seconds(e.busy.empty() ? 0 : e.busy[e.bottleneck]);
  const auto seconds = filling.run();
  for (std::size_t m = 0; m < messages.size(); ++m) {
    const bool sent = seconds[m] > 0 && messages[m].bytes > 0;
    e.end.push_back(sent ? Time::seconds(seconds[m]) + f.latency(messages[m].from, messages[m].to) : Time());
    e.makespan = std::max(e.makespan, e.end.back());
  }
  for (double& b : e.busy) b = e.makespan > Time() ? b / e.makespan.seconds() : 0;
  return e;
}

}  // namespace

Exchange deliver(const Fabric& f, const std::vector<Message>& messages) {
  check(f, messages);
  if (std::ranges::is_sorted(messages, {}, by_pair)) return deliver_in_order(f, messages);
  std::vector<std::size_t> order(messages.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return by_pair(messages[i]); });
  std::vector<Message> sorted;
  sorted.reserve(messages.size());
  for (std::size_t i : order) sorted.push_back(messages[i]);
  Exchange e = deliver_in_order(f, sorted);
  std::vector<Time> end(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) end[order[i]] = e.end[i];
  e.end = std::move(end);
  return e;
}

std::vector<Message> all_to_all(std::int64_t gpus, double bytes) { return skewed_all_to_all(gpus, bytes, 0, 0); }

std::vector<Message> skewed_all_to_all(std::int64_t gpus, double bytes, double sigma, std::uint64_t seed) {
  std::vector<Message> all;
  const auto n = static_cast<std::uint32_t>(gpus);
  all.reserve(std::size_t{n} * n);
  for (std::uint32_t i = 0; i < n; ++i)
    for (std::uint32_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const std::uint64_t id = (seed * 0x9e3779b97f4a7c15ULL) ^ ((std::uint64_t{i} << 32 | j) * 0xd1342543de82ef95ULL);
      const double z = sigma == 0 ? 0
                                  : std::sqrt(-2 * std::log(unit(id))) *
                                        std::cos(2 * std::numbers::pi * unit(id ^ 0x5555555555555555ULL));
      all.push_back({i, j, bytes * std::exp(sigma * z - sigma * sigma / 2)});
    }
  return all;
}

std::vector<Message> ring(const std::vector<std::int64_t>& ranks, double bytes) {
  std::vector<Message> all;
  for (std::size_t i = 0; i < ranks.size() && ranks.size() > 1; ++i)
    all.push_back(
        {static_cast<std::uint32_t>(ranks[i]), static_cast<std::uint32_t>(ranks[(i + 1) % ranks.size()]), bytes});
  return all;
}

}  // namespace railcast
