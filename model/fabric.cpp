#include "model/fabric.hpp"

#include <algorithm>
#include <stdexcept>

namespace railcast {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): ecmp's choice depends on the pair only.
std::uint64_t hash(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

bool contains(const std::vector<std::int64_t>& list, std::int64_t value) {
  return std::ranges::find(list, value) != list.end();
}

void require(bool good, const std::string& what) {
  if (!good) throw std::invalid_argument(what);
}

}  // namespace

void Fabric::check() const {
  const FabricSpec& s = spec_;
  require(s.nodes > 0 && s.gpus_per_node > 0, "fabric.nodes: no GPU");
  require(s.nvlink.per_second() > 0, "fabric.nvlink: expected a positive rate");
  require(s.nic.per_second() > 0, "fabric.nic: expected a positive rate");
  require(s.oversubscription > 0, "fabric.oversubscription: expected a positive ratio (1: none)");
  require(s.nodes_per_leaf > 0, "fabric.nodes_per_leaf: expected one at least");
  require(s.uplinks > 0, "fabric.uplinks: expected one at least");
  require(s.slow_share > 0 && s.slow_share <= 1, "fabric.slow_share: expected above 0, at most 1");
  for (const auto* list : {&s.dead_nics, &s.slow_nics})
    for (std::int64_t gpu : *list)
      require(gpu >= 0 && gpu < gpus(), std::string(list == &s.dead_nics ? "fabric.dead_nics" : "fabric.slow_nics") +
                                            ": there is no GPU " + std::to_string(gpu));
}

// A GPU without a NIC uses the next one of its node that has one.
void Fabric::give_nics() {
  const std::int64_t n = spec_.gpus_per_node;
  for (std::int64_t gpu = 0; gpu < gpus(); ++gpu) {
    std::int64_t tried = 0, nic = gpu;
    for (; tried < n && contains(spec_.dead_nics, nic); ++tried) nic = node(gpu) * n + (rail(nic) + 1) % n;
    require(tried < n || spec_.nodes == 1, "fabric.dead_nics: node " + std::to_string(node(gpu)) +
                                               " has no NIC left, so that its GPUs cannot be reached");
    nic_of_.push_back(nic);
  }
}

Fabric::Fabric(const FabricSpec& spec) : spec_(spec) {
  check();
  give_nics();
  for (std::int64_t gpu = 0; gpu < gpus(); ++gpu) {
    const ByteRate nic = (contains(spec_.slow_nics, gpu) ? spec_.slow_share : 1.0) * spec_.nic;
    capacity_.insert(capacity_.end(), {spec_.nvlink, spec_.nvlink, nic, nic});
  }
  leaves_ = leaf(gpus() - 1) + 1;
  lanes_ = spec_.spreading == Spreading::ecmp ? spec_.uplinks : 1;
  std::vector<std::int64_t> below(static_cast<std::size_t>(leaves_));
  for (std::int64_t gpu = 0; gpu < gpus(); ++gpu) ++below[static_cast<std::size_t>(leaf(gpu))];
  for (std::int64_t nics : below) {
    const double share = static_cast<double>(nics) / spec_.oversubscription / static_cast<double>(lanes_);
    for (std::int64_t l = 0; l < 2 * lanes_; ++l) capacity_.push_back(share * spec_.nic);
  }
}

std::int64_t Fabric::leaf(std::int64_t gpu) const {
  const std::int64_t pod = node(gpu) / spec_.nodes_per_leaf;
  return spec_.rails ? pod * spec_.gpus_per_node + rail(gpu) : pod;
}

// From leaf to leaf: up one uplink, down another.
void Fabric::climb(std::int64_t from_nic, std::int64_t to_nic, std::vector<LinkId>& path) const {
  const std::int64_t up = leaf(from_nic), down = leaf(to_nic);
  if (up == down) return;
  const auto pair = static_cast<std::uint64_t>(from_nic * gpus() + to_nic);
  const auto lane = static_cast<std::int64_t>(hash(spec_.seed ^ hash(pair)) % static_cast<std::uint64_t>(lanes_));
  const std::int64_t first = gpus() * kPorts;
  path.push_back(static_cast<LinkId>(first + up * 2 * lanes_ + lane));
  path.push_back(static_cast<LinkId>(first + down * 2 * lanes_ + lanes_ + lane));
}

void Fabric::path(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const {
  path.clear();
  if (from == to) return;
  if (node(from) == node(to)) {
    path.insert(path.end(), {port(from, nv_out), port(to, nv_in)});
    return;
  }
  const std::int64_t last = nic_of(to);
  std::int64_t first = nic_of(from);
  if (spec_.cross_rail == CrossRail::nvlink) first = nic_of(node(from) * spec_.gpus_per_node + rail(last));
  if (first != from) path.insert(path.end(), {port(from, nv_out), port(first, nv_in)});
  path.push_back(port(first, nic_out));
  climb(first, last, path);
  path.push_back(port(last, nic_in));
  if (last != to) path.insert(path.end(), {port(last, nv_out), port(to, nv_in)});
}

Time Fabric::latency(std::int64_t from, std::int64_t to) const {
  if (from == to) return Time();
  if (node(from) == node(to)) return spec_.nvlink_latency;
  const bool same_leaf = leaf(nic_of(from)) == leaf(nic_of(to));
  return spec_.nic_latency + (same_leaf ? Time() : spec_.spine_latency);
}

std::string Fabric::name(LinkId l) const {
  const auto id = static_cast<std::int64_t>(l), first = gpus() * kPorts;
  if (id < first) {
    static constexpr const char* kNames[] = {"NVLink out of", "NVLink into", "NIC out of", "NIC into"};
    return std::string(kNames[id % kPorts]) + " GPU " + std::to_string(id / kPorts);
  }
  const std::int64_t in_leaf = (id - first) % (2 * lanes_);
  return "leaf " + std::to_string((id - first) / (2 * lanes_)) + (in_leaf < lanes_ ? " up" : " down") +
         (lanes_ > 1 ? " " + std::to_string(in_leaf % lanes_) : "");
}

}  // namespace railcast
