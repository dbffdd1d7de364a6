// Flows: many messages over a fabric at once, sharing its links.
#pragma once
#include <cstdint>
#include <vector>

#include "model/fabric.hpp"

namespace railcast {

/// A message; those of the same pair may be added up beforehand.
struct Message {
  std::uint32_t from = 0, to = 0;
  double bytes = 0;
};

struct Exchange {
  Time makespan;             ///< of the last byte, latency included
  std::vector<Time> end;     ///< by message
  std::vector<double> busy;  ///< by link: bytes over capacity x makespan
  LinkId bottleneck = 0;     ///< the link that is busiest
  Time port_bound;           ///< the busiest link's bytes over its rate
};

/// All messages start together. Links are shared max-min, each message weighted by its bytes: a sender serves its list
/// in turns, so that what it sends over one bottleneck ends together. Under this weighting the shares of the start hold
/// to the end (a message's bottleneck stays full of the same messages until they end), so one progressive filling from
/// the busiest link on is exact: its messages end at bytes / capacity of what earlier links left it.
/// The order in which messages are given changes nothing.
/// Throws std::invalid_argument on a message to an unknown GPU, or bytes that are negative or not finite.
Exchange deliver(const Fabric& f, const std::vector<Message>& messages);

/// `bytes` from every GPU to every other.
std::vector<Message> all_to_all(std::int64_t gpus, double bytes);
/// As all_to_all with the bytes of each pair multiplied by exp(sigma z - sigma^2 / 2), z a standard normal of
/// (seed, pair): mean `bytes`, unequal counts.
std::vector<Message> skewed_all_to_all(std::int64_t gpus, double bytes, double sigma, std::uint64_t seed);
/// One step of a ring over `ranks`, each to its successor.
std::vector<Message> ring(const std::vector<std::int64_t>& ranks, double bytes);

}  // namespace railcast
