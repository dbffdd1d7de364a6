// Events in order of (time, op id): 16-byte PODs in a four-way heap. Cancelling is the owner's: it bumps a generation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

namespace railcast {

struct Event {
  std::int64_t time = 0;  ///< picoseconds
  std::uint32_t op = 0, generation = 0;
  auto operator<=>(const Event&) const = default;
};
static_assert(sizeof(Event) == 16);

class EventQueue {
 public:
  bool empty() const { return heap_.empty(); }
  const Event& top() const { return heap_.front(); }
  void push(const Event& e) {
    std::size_t i = heap_.size();
    heap_.push_back(e);
    for (; i > 0 && e < heap_[parent(i)]; i = parent(i)) heap_[i] = heap_[parent(i)];
    heap_[i] = e;
  }
  void pop() {
    const Event last = heap_.back();
    heap_.pop_back();
    if (heap_.empty()) return;
    std::size_t i = 0;
    for (std::size_t child = smallest_child(i); child < heap_.size() && heap_[child] < last; child = smallest_child(i))
      heap_[i] = heap_[child], i = child;
    heap_[i] = last;
  }

 private:
  static std::size_t parent(std::size_t i) { return (i - 1) / 4; }
  std::size_t smallest_child(std::size_t i) const {
    std::size_t best = 4 * i + 1;
    for (std::size_t c = best + 1; c < 4 * i + 5 && c < heap_.size(); ++c)
      if (heap_[c] < heap_[best]) best = c;
    return best;
  }
  std::vector<Event> heap_;
};

}  // namespace railcast
