#include "model/pipeline.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace railcast {

Pipeline::Id Pipeline::server() {
  servers_.emplace_back();
  return static_cast<Id>(servers_.size() - 1);
}

Pipeline::Id Pipeline::port() {
  free_.emplace_back(), busy_.emplace_back();
  return static_cast<Id>(free_.size() - 1);
}

Pipeline::Id Pipeline::step(const Step& s) {
  steps_.push_back(s);
  return static_cast<Id>(steps_.size() - 1);
}

void Pipeline::link(Id before, Id after) { links_.emplace_back(before, after); }

// Links as rows by the step that comes before, and how many each step waits for.
void Pipeline::connect() {
  first_after_.assign(steps_.size() + 1, 0), waits_.assign(steps_.size(), 0), after_.resize(links_.size());
  seen_.assign(steps_.size(), Time());
  for (const auto& [before, after] : links_) ++first_after_[before + 1], ++waits_[after];
  for (std::size_t i = 0; i < steps_.size(); ++i) first_after_[i + 1] += first_after_[i];
  auto next = first_after_;
  for (const auto& [before, after] : links_) after_[next[before]++] = after;
}

void Pipeline::push(Event e) {
  heap_.push_back(e);
  std::ranges::push_heap(heap_, std::greater<>());
}

Time Pipeline::run() {
  connect();
  for (Id s = 0; s < steps_.size(); ++s)
    if (waits_[s] == 0) push({Time(), s, false});
  Time last;
  while (!heap_.empty()) {
    std::ranges::pop_heap(heap_, std::greater<>());
    const Event e = heap_.back();
    heap_.pop_back();
    if (e.end) last = std::max(last, e.at + steps_[e.step].latency);
    e.end ? finish(e.step, e.at) : ready(e.step, e.at);
  }
  if (finished_ != steps_.size()) throw std::logic_error("steps of a pipeline wait for one another");
  return last;
}

void Pipeline::ready(Id s, Time now) {
  if (steps_[s].server == kNone) return start(s, now);
  Server& server = servers_[steps_[s].server];
  if (server.held) return server.waiting.push_back(s);
  server.held = true, server.since = now;
  start(s, now);
}

void Pipeline::start(Id s, Time now) {
  const Step& step = steps_[s];
  Time end = now + step.work;
  if (step.port != kNone) {
    Time& free = free_[step.port];
    free = std::max(free, now) + step.transfer;
    busy_[step.port] += step.transfer;
    end = std::max(end, free);
  }
  push({end, s, true});
}

void Pipeline::finish(Id s, Time now) {
  ++finished_;
  for (auto i = first_after_[s]; i < first_after_[s + 1]; ++i) {
    const Id next = after_[i];
    seen_[next] = std::max(seen_[next], now + steps_[s].latency);
    if (--waits_[next] == 0) push({seen_[next], next, false});
  }
  if (steps_[s].server == kNone) return;
  Server& server = servers_[steps_[s].server];
  server.held = server.first < server.waiting.size();
  server.busy += now - server.since, server.since = now;
  if (server.held) start(server.waiting[server.first++], now);
}

Time Pipeline::busiest_server() const {
  Time most;
  for (const Server& s : servers_) most = std::max(most, s.busy);
  return most;
}

}  // namespace railcast
