#include "model/nccl.hpp"

#include <algorithm>

namespace railcast {
namespace {

ByteRate among(const Nccl& n, std::int64_t ranks, ByteRate full) {
  const auto share = [&](double r) { return r / (r + n.few); };
  return std::min(1.0, share(static_cast<double>(ranks)) / share(8)) * full;
}

NcclPath faster(const NcclPath& a, const NcclPath& b, double wire) { return b.total(wire) < a.total(wire) ? b : a; }

}  // namespace

NcclPath ring_path(const Nccl& n, std::int64_t passes, std::int64_t ranks, double wire, ByteRate full, bool switched) {
  const ByteRate rate = among(n, ranks, full);
  const Time steps = n.start + passes * (ranks - 1) * n.hop;
  NcclPath best = faster({steps, std::min(n.low_latency, rate)}, {steps + n.simple, rate}, wire);
  if (switched && passes == 2 && ranks > 2) best = faster(best, {n.in_switch_start, n.in_switch * rate}, wire);
  return best;
}

NcclPath peer_path(const Nccl& n, std::int64_t ranks, double wire, ByteRate full) {
  const ByteRate rate = among(n, ranks, full);
  const Time start = n.peer_start + (ranks - 1) * n.per_peer;
  const ByteRate to_all = static_cast<double>(ranks - 1) * n.peer_low_latency;
  return faster({start, std::min(to_all, rate)}, {start + n.peer_simple, rate}, wire);
}

}  // namespace railcast
