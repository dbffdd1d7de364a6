#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "sim/graph.hpp"
#include "sim/queue.hpp"
#include "sim/share.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kFull = std::int64_t{1} << 40;  // a resource's capacity; loads are exact integers
constexpr std::uint32_t kEnded = ~std::uint32_t{0};

// An op that has started. It waits out its latency, then works.
struct Running {
  OpId op = 0;
  std::uint32_t generation = 0;
  std::int64_t since = 0;  // when `remaining` was true
  double remaining = 0;    // picoseconds at full speed
  double speed = 0;        // 0: not yet solved for
  bool working = false;
};

struct Resource {
  std::int64_t load = 0;             // sum of the full-speed draws of its users
  std::vector<std::uint32_t> users;  // slots
  bool oversubscribed() const { return load > kFull; }
};

class Simulation {
 public:
  explicit Simulation(const Graph& g) : g_(g), state_(g.predecessors), resources_(g.resources) {
    trace_.start.resize(g.ops.size()), trace_.end.resize(g.ops.size());
    in_problem_.resize(g.resources), touched_at_.resize(g.resources);
    for (const OpCost& c : g.costs) {
      auto& draw = draws_.emplace_back();
      for (int i = 0; i < kDraws; ++i)
        draw[static_cast<std::size_t>(i)] = std::llrint(c.draw[static_cast<std::size_t>(i)] * double(kFull));
    }
  }

  Trace run() {
    for (OpId o = 0; o < g_.ops.size(); ++o)
      if (state_[o] == 0) ready_.push_back(o);
    start_ready(), settle();
    while (!queue_.empty()) {
      now_ = queue_.top().time;
      drain(), start_ready(), settle();
    }
    trace_.makespan = Time::ps(now_);
    return std::move(trace_);
  }

 private:
  std::span<const Use> uses(OpId o) const { return g_.uses_of(g_.ops[o].uses); }
  const OpCost& cost(OpId o) const { return g_.costs[g_.ops[o].cost]; }

  // Every event of this instant, in op order.
  void drain() {
    for (; !queue_.empty() && queue_.top().time == now_; queue_.pop()) {
      const Event e = queue_.top();
      const std::uint32_t slot = state_[e.op];
      if (slot == kEnded || slots_[slot].generation != e.generation) continue;
      ++trace_.events;
      if (slots_[slot].working) {
        stop_work(slot), finish(slot);
      } else {
        begin_work(slot);
      }
    }
  }

  void start_ready() {
    while (!ready_.empty()) {
      std::vector<OpId> batch;
      batch.swap(ready_);
      std::ranges::sort(batch);
      for (OpId o : batch) start(o);
      if (ready_.empty()) batch.clear(), ready_.swap(batch);  // keeps the memory
    }
  }

  // state_ of an op counts the predecessors it waits for, then names its slot, then says that it has ended.
  void start(OpId o) {
    trace_.start[o] = Time::ps(now_);
    const std::uint32_t slot = take_slot(o);
    state_[o] = slot;
    const OpCost& c = cost(o);
    const bool alone = uses(o).empty();  // nothing to contend for: one event ends it
    const std::int64_t wait = c.latency.ps() + (alone ? c.work.ps() : 0);
    slots_[slot].remaining = alone ? 0 : static_cast<double>(c.work.ps());
    if (wait > 0) {
      queue_.push({now_ + wait, o, slots_[slot].generation});
    } else {
      begin_work(slot);
    }
  }

  std::uint32_t take_slot(OpId o) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back(), in_component_.push_back(0);
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    slots_[slot] = {o, slots_[slot].generation + 1, now_, 0, 0, false};
    return slot;
  }

  void begin_work(std::uint32_t slot) {
    Running& r = slots_[slot];
    if (r.remaining <= 0) return finish(slot);
    r.working = true, r.since = now_, r.speed = 0;
    change_load(r.op, +1);
    for (const Use& u : uses(r.op)) resources_[u.resource].users.push_back(slot);
    fresh_.push_back(slot);
  }

  void stop_work(std::uint32_t slot) {
    const OpId o = slots_[slot].op;
    change_load(o, -1);
    for (const Use& u : uses(o)) {
      auto& users = resources_[u.resource].users;
      *std::ranges::find(users, slot) = users.back();
      users.pop_back();
    }
  }

  // Only a resource that is or was oversubscribed can change anyone's speed.
  void change_load(OpId o, std::int64_t sign) {
    const auto& draw = draws_[g_.ops[o].cost];
    for (const Use& u : uses(o)) {
      Resource& r = resources_[u.resource];
      const bool was = r.oversubscribed();
      r.load += sign * draw[u.draw];
      if (!was && !r.oversubscribed()) continue;
      if (touched_at_[u.resource] == epoch_) continue;
      touched_at_[u.resource] = epoch_, touched_.push_back(u.resource);
    }
  }

  void finish(std::uint32_t slot) {
    const OpId o = slots_[slot].op;
    trace_.end[o] = Time::ps(now_);
    state_[o] = kEnded;
    ++slots_[slot].generation;
    free_.push_back(slot);
    for (OpId s : g_.successors_of(o))
      if (--state_[s] == 0) ready_.push_back(s);
  }

  // End of the instant: solve each touched component once, then let the untouched new ops run at full speed.
  void settle() {
    for (ResourceId r : touched_)
      if (in_problem_[r].epoch != epoch_) solve_component(r);
    for (std::uint32_t slot : fresh_)
      if (slots_[slot].speed == 0) set_speed(slot, 1);
    touched_.clear(), fresh_.clear();
    ++epoch_;
  }

  // Ops are connected through oversubscribed resources only.
  void solve_component(ResourceId first) {
    component_.clear(), frontier_.assign(1, first);
    std::uint32_t constraints = 0;
    in_problem_[first] = {epoch_, constraints++};
    for (std::size_t next = 0; next < frontier_.size(); ++next)
      for (std::uint32_t slot : resources_[frontier_[next]].users) {
        if (in_component_[slot] == epoch_) continue;
        in_component_[slot] = epoch_, component_.push_back(slot);
        for (const Use& u : uses(slots_[slot].op)) {
          if (!resources_[u.resource].oversubscribed() || in_problem_[u.resource].epoch == epoch_) continue;
          in_problem_[u.resource] = {epoch_, constraints++}, frontier_.push_back(u.resource);
        }
      }
    pose(constraints);
    const auto speeds = problem_.solve();
    for (std::size_t i = 0; i < component_.size(); ++i) set_speed(component_[i], speeds[i]);
  }

  void pose(std::uint32_t constraints) {
    problem_.clear(constraints);
    for (std::uint32_t slot : component_) {
      const OpCost& c = cost(slots_[slot].op);
      problem_.op(c.weight);
      for (const Use& u : uses(slots_[slot].op))
        if (resources_[u.resource].oversubscribed()) problem_.draw(in_problem_[u.resource].index, c.draw[u.draw]);
    }
  }

  void set_speed(std::uint32_t slot, double speed) {
    Running& r = slots_[slot];
    if (speed == r.speed) return;
    r.remaining -= r.speed * static_cast<double>(now_ - r.since);
    r.since = now_, r.speed = speed;
    const double left = std::max(0.0, r.remaining / speed);
    if (left > 9e18 - static_cast<double>(now_)) throw std::domain_error("simulated time beyond 106 days");
    queue_.push({now_ + std::llrint(left), r.op, ++r.generation});
  }

  const Graph& g_;
  Trace trace_;
  std::int64_t now_ = 0;
  std::vector<std::uint32_t> state_;                     // by op
  std::vector<std::array<std::int64_t, kDraws>> draws_;  // by cost, in units of capacity / kFull
  std::vector<Running> slots_;
  std::vector<std::uint32_t> free_, fresh_;
  std::vector<OpId> ready_;
  EventQueue queue_;
  std::vector<Resource> resources_;
  // An epoch is an instant: the marks of the last one need no clearing.
  struct Mark {
    std::uint64_t epoch = 0;
    std::uint32_t index = 0;
  };
  std::uint64_t epoch_ = 1;
  std::vector<Mark> in_problem_;
  std::vector<std::uint64_t> touched_at_, in_component_;
  std::vector<ResourceId> touched_, frontier_;
  std::vector<std::uint32_t> component_;
  ShareProblem problem_;
};

}  // namespace

Trace simulate(const Graph& g) {
  if (const auto cycle = find_cycle(g); !cycle.empty()) {
    std::string names;
    for (std::size_t i = 0; i < std::min<std::size_t>(cycle.size(), 8); ++i) names += std::to_string(cycle[i]) + " -> ";
    throw std::runtime_error("the graph waits for itself: op " + names + std::to_string(cycle.front()));
  }
  return Simulation(g).run();
}

}  // namespace railcast
