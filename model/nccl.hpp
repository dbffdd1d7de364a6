// What NCCL's collectives take within a node besides bytes over a port's rate: protocols, steps, peers.
#pragma once
#include <cstdint>
#include <string>

#include "sim/units.hpp"

namespace railcast {

/// Fitted to timings of NCCL on 2 to 8 H100 (calibration/nccl.json; tests/model/nccl_test.cpp holds them at the fit's
/// optimum, and against the rows that were held out).
struct Nccl {
  Time start, hop;       ///< of a ring kernel; per step of the ring
  ByteRate low_latency;  ///< bytes/s of the protocol that needs no fence (LL, LL128)
  Time simple;           ///< what the protocol for large messages costs more at the start
  double few = 0;        ///< n GPUs reach n / (n + few) of the rate that many would
  double in_switch = 0;  ///< all_reduce summed in the NVSwitch (NVLS): rate over the ring's
  Time in_switch_start;
  Time peer_start, per_peer;  ///< of a kernel of sends and receives; for each peer
  ByteRate peer_low_latency;  ///< to each peer, without a fence
  Time peer_simple;
  std::string source;  ///< file
  bool known() const { return few > 0; }
};

/// How the NVLink part of a collective runs: what it waits first, and then the rate of its bytes.
struct NcclPath {
  Time latency;
  ByteRate rate;
  Time total(double bytes) const { return latency + Time::seconds(bytes / rate.per_second()); }
};

/// The fastest protocol for `wire` bytes out of each of `ranks` GPUs in `passes` (2: all_reduce) rings; `full` is the
/// rate that 8 GPUs reach. `switched`: an NVSwitch may sum.
NcclPath ring_path(const Nccl& n, std::int64_t passes, std::int64_t ranks, double wire, ByteRate full, bool switched);
/// The same for all_to_all: `wire` bytes in equal parts to each of the other ranks.
NcclPath peer_path(const Nccl& n, std::int64_t ranks, double wire, ByteRate full);

}  // namespace railcast
