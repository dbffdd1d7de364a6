// A trace as a person looks at it: slices on tracks. Both trace formats are written from it.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/train.hpp"

namespace railcast {

enum class Lane : std::uint8_t { compute, communication, pipeline, zero };
inline constexpr int kLanes = 4;
const char* name(Lane l);
/// A collective inside a compute segment keeps the compute lane waiting, and stands on it.
Lane lane_of(Kind k);
/// What slices of a kind share a colour by: "forward", "backward", "weight", "dispatch_combine", "pipeline", "zero",
/// "optimizer".
const char* category(Kind k);

/// One line of slices of one rank. `rank` indexes TrainStep::ranks; a lane has a second track where its ops overlap.
struct Track {
  std::uint32_t rank = 0;
  Lane lane = Lane::compute;
  std::uint32_t number = 0;
};

struct Slice {
  std::uint32_t track = 0;
  Kind kind = Kind::attn_f;
  std::uint32_t layer = 0;
  std::int32_t micro_batch = -1;  ///< -1: none, or of a pair
  bool sends = false;             ///< an arrow goes out from it; its id is the op's
  OpId op = 0;
  Time start, end;
};

/// An arrow from the slice of the op `send` to a slice, by its index.
struct Arrow {
  std::size_t slice = 0;
  OpId send = 0;
};

struct Timeline {
  std::vector<Track> tracks;  ///< by rank, lane and number
  std::vector<Slice> slices;  ///< by track, then in time; those of a track do not overlap
  std::vector<Arrow> arrows;  ///< by slice
};

/// Every simulated rank where there are few (up to `most_ranks`), otherwise the first of each pipeline rank.
Timeline timeline(const TrainStep& s, const Trace& t, std::size_t most_ranks = 256);

/// "ATTN(F) L12 mb 3"; the head, ZeRO and the optimizer have no layer.
std::string slice_name(const Slice& s);
/// "rank 1024 (pipeline rank 8)", "x 128" where it stands for several.
std::string rank_name(const SimulatedRank& r);
std::string track_name(const Track& t);  ///< "compute", "communication", "compute 2"

}  // namespace railcast
