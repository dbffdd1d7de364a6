// A pipeline of chunks: steps wait for other steps, then for a server (a group of warps that works on one chunk at a
// time), and while they work they push their bytes through a port that serves whole chunks in the order of arrival.
//
// Apart from sim/engine: a dispatch has some 10^4 chunks over a hundred warps and two ports, and a port that shares its
// rate among all of them would be solved anew at each. NICs and NVLink serve packets in turn, so first come first
// served per chunk gives the same rates.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "sim/units.hpp"

namespace railcast {

class Pipeline {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = ~Id{0};

  Id server();
  Id port();
  /// A chunk's step. It holds `server` (or nothing) for the longer of `work` and its turn of `transfer` at `port`; what
  /// waits for it sees it `latency` later, the server's next step at once.
  struct Step {
    Id server = kNone, port = kNone;
    Time work, transfer, latency;
  };
  Id step(const Step& s);
  void link(Id before, Id after);
  std::size_t size() const { return steps_.size(); }

  /// Time of the last step's end, its latency included. Steps that become ready at one instant are served in the order
  /// of their making. Throws std::logic_error where steps wait for one another in a circle.
  Time run();
  Time busy(Id port) const { return busy_[port]; }  ///< sum of the transfers; after run()
  Time busiest_server() const;                      ///< the longest that one is held in all; after run()

 private:
  struct Server {
    std::vector<Id> waiting;
    std::size_t first = 0;
    bool held = false;
    Time since, busy;
  };
  struct Event {
    Time at;
    Id step;
    bool end;  ///< of the step; otherwise it is ready
    auto operator<=>(const Event&) const = default;
  };
  void connect();
  void push(Event e);
  void ready(Id s, Time now);
  void start(Id s, Time now);
  void finish(Id s, Time now);

  std::vector<Step> steps_;
  std::vector<std::pair<Id, Id>> links_;
  std::vector<std::uint32_t> first_after_, waits_;
  std::vector<Id> after_;
  std::vector<Server> servers_;
  std::vector<Time> free_, busy_;  ///< by port
  std::vector<Time> seen_;         ///< by step: when it sees all that it waits for
  std::vector<Event> heap_;
  std::size_t finished_ = 0;
};

}  // namespace railcast
