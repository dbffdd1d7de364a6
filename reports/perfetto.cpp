#include "reports/perfetto.hpp"

#include <string_view>

namespace railcast {
namespace {

/// Field numbers of the messages, as in Perfetto's trace.proto, trace_packet.proto, track_descriptor.proto,
/// process_descriptor.proto and track_event.proto (github.com/google/perfetto, protos/perfetto/trace).
namespace field {
constexpr std::uint32_t packet = 1;
constexpr std::uint32_t timestamp = 8, sequence = 10, track_event = 11, track_descriptor = 60;
constexpr std::uint32_t uuid = 1, track_name = 2, process = 3, parent = 5;
constexpr std::uint32_t pid = 1, process_name = 6;
constexpr std::uint32_t type = 9, track = 11, category = 22, name = 23, flow = 47, flow_end = 48;
}  // namespace field
constexpr std::uint64_t kSliceBegin = 1, kSliceEnd = 2, kSequence = 1;

/// A protobuf message under construction.
class Message {
 public:
  Message& number(std::uint32_t id, std::uint64_t value) {
    varint(std::uint64_t{id} << 3);
    varint(value);
    return *this;
  }
  Message& fixed64(std::uint32_t id, std::uint64_t value) {
    varint(std::uint64_t{id} << 3 | 1);
    for (int byte = 0; byte < 8; ++byte) bytes_ += static_cast<char>(value >> (8 * byte) & 0xff);
    return *this;
  }
  Message& text(std::uint32_t id, std::string_view value) {
    varint(std::uint64_t{id} << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& message(std::uint32_t id, const Message& value) { return text(id, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) bytes_ += static_cast<char>(v | 0x80);
    bytes_ += static_cast<char>(v);
  }
  std::string bytes_;
};

void write(std::ostream& out, const Message& packet) { out << Message().message(field::packet, packet).bytes(); }

// Rounded down: order in picoseconds stays order in nanoseconds.
Message at(Time t) {
  Message packet;
  packet.number(field::timestamp, static_cast<std::uint64_t>(t.ps() / 1000)).number(field::sequence, kSequence);
  return packet;
}

/// Ids of tracks: those of slices first, then a process per rank.
std::uint64_t track_id(std::uint64_t track) { return track + 1; }
std::uint64_t process_id(const Timeline& t, std::uint32_t rank) { return t.tracks.size() + 1 + rank; }

void write_tracks(std::ostream& out, const TrainStep& s, const Timeline& t) {
  std::uint32_t rank = ~0U;
  for (std::size_t i = 0; i < t.tracks.size(); ++i) {
    const Track& track = t.tracks[i];
    if (track.rank != rank) {
      rank = track.rank;
      Message process, descriptor;
      process.number(field::pid, rank + 1).text(field::process_name, rank_name(s.ranks[rank]));
      descriptor.number(field::uuid, process_id(t, rank)).message(field::process, process);
      write(out, Message().number(field::sequence, kSequence).message(field::track_descriptor, descriptor));
    }
    Message descriptor;
    descriptor.number(field::uuid, track_id(i)).text(field::track_name, track_name(track));
    descriptor.number(field::parent, process_id(t, rank));
    write(out, Message().number(field::sequence, kSequence).message(field::track_descriptor, descriptor));
  }
}

}  // namespace

void write_perfetto(std::ostream& out, const TrainStep& s, const Timeline& t) {
  write_tracks(out, s, t);
  auto arrow = t.arrows.begin();
  for (std::size_t i = 0; i < t.slices.size(); ++i) {
    const Slice& slice = t.slices[i];
    Message begin, end;
    begin.number(field::type, kSliceBegin).number(field::track, track_id(slice.track));
    begin.text(field::category, category(slice.kind)).text(field::name, slice_name(slice));
    if (slice.sends) begin.fixed64(field::flow, slice.op + 1);
    for (; arrow != t.arrows.end() && arrow->slice == i; ++arrow) begin.fixed64(field::flow_end, arrow->send + 1);
    end.number(field::type, kSliceEnd).number(field::track, track_id(slice.track));
    write(out, at(slice.start).message(field::track_event, begin));
    write(out, at(slice.end).message(field::track_event, end));
  }
}

}  // namespace railcast
