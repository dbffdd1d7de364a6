#include "reports/chrome_trace.hpp"

#include <array>
#include <cstdio>
#include <string_view>

namespace railcast {
namespace {

// No name here holds a character that JSON escapes.
std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

std::string microseconds(Time t) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%lld.%06lld", static_cast<long long>(t.ps() / 1'000'000),
                static_cast<long long>(t.ps() % 1'000'000));
  return text.data();
}

/// Chrome's reserved colour names.
const char* colour(Kind k) {
  const std::string_view c = category(k);
  if (c == "forward") return "rail_response";
  if (c == "backward") return "rail_animation";
  if (c == "weight") return "rail_idle";
  if (c == "optimizer") return "rail_load";
  return c == "zero" ? "grey" : "thread_state_iowait";
}

class Events {
 public:
  explicit Events(std::ostream& out) : out_(out) { out_ << "{\"displayTimeUnit\":\"ms\",\"traceEvents\":["; }
  ~Events() { out_ << "\n]}\n"; }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  /// Begins an event of the phase `ph`; the caller adds members and the closing brace.
  std::ostream& event(char ph, std::uint32_t rank, std::size_t track) {
    out_ << (first_ ? "\n" : ",\n") << "{\"ph\":\"" << ph << "\",\"pid\":" << rank + 1 << ",\"tid\":" << track + 1;
    first_ = false;
    return out_;
  }

 private:
  std::ostream& out_;
  bool first_ = true;
};

void write_tracks(Events& events, const TrainStep& s, const Timeline& t) {
  std::uint32_t rank = ~0U;
  for (std::size_t i = 0; i < t.tracks.size(); ++i) {
    const Track& track = t.tracks[i];
    if (track.rank != rank) {
      rank = track.rank;
      events.event('M', rank, i) << R"(,"name":"process_name","args":{"name":)" << quoted(rank_name(s.ranks[rank]))
                                 << "}}";
    }
    events.event('M', rank, i) << R"(,"name":"thread_name","args":{"name":)" << quoted(track_name(track)) << "}}";
    events.event('M', rank, i) << R"(,"name":"thread_sort_index","args":{"sort_index":)" << i << "}}";
  }
}

void write_slice(Events& events, const Timeline& t, const Slice& s) {
  events.event('X', t.tracks[s.track].rank, s.track)
      << ",\"ts\":" << microseconds(s.start) << ",\"dur\":" << microseconds(s.end - s.start)
      << ",\"name\":" << quoted(slice_name(s)) << ",\"cat\":" << quoted(category(s.kind))
      << ",\"cname\":" << quoted(colour(s.kind)) << ",\"args\":{\"layer\":" << s.layer
      << ",\"micro_batch\":" << s.micro_batch << "}}";
}

void write_arrow(Events& events, const Timeline& t, const Slice& s, char ph, OpId send) {
  events.event(ph, t.tracks[s.track].rank, s.track)
      << ",\"id\":" << send + 1 << ",\"ts\":" << microseconds(s.start) << R"(,"name":"send","cat":"pipeline")"
      << (ph == 'f' ? R"(,"bp":"e"})" : "}");
}

}  // namespace

void write_chrome_trace(std::ostream& out, const TrainStep& s, const Timeline& t) {
  Events events(out);
  write_tracks(events, s, t);
  auto arrow = t.arrows.begin();
  for (std::size_t i = 0; i < t.slices.size(); ++i) {
    const Slice& slice = t.slices[i];
    write_slice(events, t, slice);
    if (slice.sends) write_arrow(events, t, slice, 's', slice.op);
    for (; arrow != t.arrows.end() && arrow->slice == i; ++arrow) write_arrow(events, t, slice, 'f', arrow->send);
  }
}

}  // namespace railcast
