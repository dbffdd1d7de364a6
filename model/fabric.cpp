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

void require_all(const std::vector<std::int64_t>& list, std::int64_t count, const char* key, const char* what) {
  for (std::int64_t i : list)
    require(i >= 0 && i < count, std::string(key) + ": there is no " + what + " " + std::to_string(i) +
                                     "; expected 0 to " + std::to_string(count - 1));
}

}  // namespace

bool Topology::non_blocking() const {
  const bool whole = dead_nics.empty() && cut_rails.empty() && slow_nics.empty() && slow_gpus.empty();
  const bool wide = oversubscription <= 1 && core_oversubscription <= 1 && background == 0;
  return whole && wide && gpus_per_nic == 1 && inside == Inside::nvswitch && spreading == Spreading::adaptive;
}

void Fabric::check() const {
  require(spec_.nodes > 0 && spec_.gpus_per_node > 0, "nodes: no GPU");
  require(spec_.nvlink.per_second() > 0, "machine.nvlink: expected a positive rate");
  require(spec_.nic.per_second() > 0, "machine.nic: expected a positive rate");
  check_topology();
}

void Fabric::check_topology() const {
  const Topology& t = spec_.topology;
  require(t.oversubscription > 0, "fabric.oversubscription: expected a positive ratio (1: none)");
  require(t.core_oversubscription > 0, "fabric.core_oversubscription: expected a positive ratio (1: none)");
  require(t.background >= 0 && t.background < 1, "fabric.background: expected a share from 0 to below 100 %");
  require(t.nodes_per_leaf > 0, "fabric.nodes_per_leaf: expected one at least");
  require(t.nodes_per_pod >= 0 && t.nodes_per_pod % t.nodes_per_leaf == 0,
          "fabric.nodes_per_pod: expected a multiple of nodes_per_leaf, " + std::to_string(t.nodes_per_leaf) +
              ", or 0 for two levels");
  require(t.uplinks > 0, "fabric.uplinks: expected one at least");
  require(t.gpus_per_nic > 0 && spec_.gpus_per_node % t.gpus_per_nic == 0,
          "fabric.gpus_per_nic: expected a divisor of a node's " + std::to_string(spec_.gpus_per_node) + " GPUs");
  require(t.slow_nic_share > 0 && t.slow_nic_share <= 1, "fabric.slow_nic_share: expected above 0, at most 100 %");
  require(t.slow_gpu_share > 0 && t.slow_gpu_share <= 1, "fabric.slow_gpu_share: expected above 0, at most 100 %");
  require(t.spine_latency <= spec_.nic_latency, "fabric.spine_latency: is more than nic_latency, which includes it");
  require_all(t.dead_nics, gpus(), "fabric.dead_nics", "GPU");
  require_all(t.slow_nics, gpus(), "fabric.slow_nics", "GPU");
  require_all(t.slow_gpus, gpus(), "fabric.slow_gpus", "GPU");
  require_all(t.cut_rails, spec_.gpus_per_node, "fabric.cut_rails", "rail");
}

// A dead NIC's traffic goes through the next one of its node that is alive.
void Fabric::find_alive() {
  const Topology& t = spec_.topology;
  const std::int64_t n = spec_.gpus_per_node;
  std::vector<bool> dead(static_cast<std::size_t>(gpus()));
  for (std::int64_t gpu : t.dead_nics) dead[static_cast<std::size_t>(own_nic(gpu))] = true;
  for (std::int64_t cut : t.cut_rails)
    for (std::int64_t k = 0; k < spec_.nodes; ++k) dead[static_cast<std::size_t>(own_nic(k * n + cut))] = true;
  for (std::int64_t gpu = 0; gpu < gpus(); ++gpu) {
    std::int64_t tried = 0, nic = own_nic(gpu);
    for (; tried < n && dead[static_cast<std::size_t>(nic)]; tried += t.gpus_per_nic)
      nic = node(gpu) * n + (rail(nic) + t.gpus_per_nic) % n;
    const bool none = tried >= n;
    require(!none || spec_.nodes == 1, std::string(t.dead_nics.empty() ? "fabric.cut_rails" : "fabric.dead_nics") +
                                           ": node " + std::to_string(node(gpu)) +
                                           " has no NIC left, so that its GPUs cannot be reached");
    alive_.push_back(none ? -1 : nic);
  }
}

void Fabric::add_ports() {
  const Topology& t = spec_.topology;
  const auto share = [](const std::vector<std::int64_t>& list, std::int64_t id, double s) {
    return contains(list, id) ? s : 1.0;
  };
  for (std::int64_t gpu = 0; gpu < gpus(); ++gpu) {
    const ByteRate nvlink = share(t.slow_gpus, gpu, t.slow_gpu_share) * spec_.nvlink;
    const ByteRate nic = share(t.slow_nics, gpu, t.slow_nic_share) * spec_.nic;
    capacity_.insert(capacity_.end(), {nvlink, nvlink, nic, nic});
  }
}

Fabric::Level Fabric::add_level(const std::vector<double>& nics_below, double per_nic) {
  const Level level{static_cast<std::int64_t>(capacity_.size()), static_cast<std::int64_t>(nics_below.size())};
  for (double nics : nics_below)
    for (std::int64_t l = 0; l < 2 * lanes_; ++l)
      capacity_.push_back(std::max(1.0, nics) * per_nic / static_cast<double>(lanes_) * spec_.nic);
  return level;
}

Fabric::Fabric(const FabricSpec& spec) : spec_(spec) {
  check();
  find_alive();
  add_ports();
  const Topology& t = spec_.topology;
  lanes_ = t.spreading == Spreading::ecmp ? t.uplinks : 1;
  std::vector<double> below_leaf, below_pod;
  const auto count = [](std::vector<double>& below, std::int64_t at) {
    below.resize(std::max(below.size(), static_cast<std::size_t>(at) + 1));
    ++below[static_cast<std::size_t>(at)];
  };
  for (std::int64_t gpu = 0; gpu < gpus(); gpu += t.gpus_per_nic)
    count(below_leaf, leaf(gpu)), count(below_pod, pod(gpu));
  const double per_nic = (1 - t.background) / t.oversubscription;
  leaves_ = add_level(below_leaf, per_nic);
  if (t.nodes_per_pod > 0) pods_ = add_level(below_pod, per_nic / t.core_oversubscription);
}

std::int64_t Fabric::leaf(std::int64_t nic) const {
  return node(nic) / spec_.topology.nodes_per_leaf * rails() + (rails() > 1 ? rail(nic) : 0);
}

// Planes never meet: each has its own spines and core.
std::int64_t Fabric::pod(std::int64_t nic) const {
  if (spec_.topology.nodes_per_pod == 0) return 0;
  const std::int64_t pod = node(nic) / spec_.topology.nodes_per_pod;
  return spec_.topology.wiring == Wiring::planes ? pod * rails() + rail(nic) : pod;
}

LinkId Fabric::uplink(const Level& l, std::int64_t of, std::int64_t lane, bool down) const {
  return static_cast<LinkId>(l.first + (of * 2 + (down ? 1 : 0)) * lanes_ + lane);
}

// From leaf to leaf: up one uplink, down another; between pods through the core.
void Fabric::climb(const Nics& n, std::vector<LinkId>& path) const {
  const std::int64_t up = leaf(n.first), down = leaf(n.last);
  if (up == down) return;
  const auto pair = static_cast<std::uint64_t>(n.first * gpus() + n.last);
  const auto lane =
      static_cast<std::int64_t>(hash(spec_.topology.seed ^ hash(pair)) % static_cast<std::uint64_t>(lanes_));
  path.push_back(uplink(leaves_, up, lane, false));
  if (pod(n.first) != pod(n.last)) {
    path.push_back(uplink(pods_, pod(n.first), lane, false));
    path.push_back(uplink(pods_, pod(n.last), lane, true));
  }
  path.push_back(uplink(leaves_, down, lane, true));
}

// The rail nearest to the receiver's own whose NICs live at both ends.
Fabric::Nics Fabric::common_plane(std::int64_t from, std::int64_t to) const {
  const std::int64_t n = spec_.gpus_per_node;
  for (std::int64_t k = 0; k < n; k += spec_.topology.gpus_per_nic) {
    const std::int64_t r = (rail(own_nic(to)) + k) % n;
    const Nics at{node(from) * n + r, node(to) * n + r};
    if (alive(at.first) == at.first && alive(at.last) == at.last) return at;
  }
  throw std::invalid_argument("fabric.dead_nics: no plane joins node " + std::to_string(node(from)) + " and node " +
                              std::to_string(node(to)) + " any more");
}

Fabric::Nics Fabric::nics(std::int64_t from, std::int64_t to) const {
  if (spec_.topology.wiring == Wiring::planes) return common_plane(from, to);
  const std::int64_t last = alive(own_nic(to));
  if (spec_.topology.cross_rail == CrossRail::spine) return {alive(own_nic(from)), last};
  return {alive(node(from) * spec_.gpus_per_node + rail(last)), last};
}

void Fabric::hop(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const {
  path.insert(path.end(), {port(from, nv_out), port(to, nv_in)});
}

void Fabric::path(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const {
  path.clear();
  if (from == to) return;
  if (node(from) == node(to)) return hop(from, to, path);
  const Nics n = nics(from, to);
  const bool pcie = spec_.topology.inside == Inside::pcie;
  if (pcie) path.push_back(port(from, nv_out));
  if (!pcie && n.first != own_nic(from)) hop(from, n.first, path);
  path.push_back(port(n.first, nic_out));
  climb(n, path);
  path.push_back(port(n.last, nic_in));
  if (!pcie && n.last != own_nic(to)) hop(n.last, to, path);
  if (pcie) path.push_back(port(to, nv_in));
}

Time Fabric::latency(std::int64_t from, std::int64_t to) const {
  if (from == to) return Time();
  if (node(from) == node(to)) return spec_.nvlink_latency;
  const Nics n = nics(from, to);
  const Time spine = spec_.topology.spine_latency;
  if (leaf(n.first) == leaf(n.last)) return spec_.nic_latency - spine;
  return spec_.nic_latency + (pod(n.first) == pod(n.last) ? Time() : spine);
}

std::string Fabric::name(LinkId l) const {
  const auto id = static_cast<std::int64_t>(l), first = gpus() * kPorts;
  if (id < first) {
    const bool pcie = spec_.topology.inside == Inside::pcie;
    const char* const names[] = {pcie ? "PCIe out of" : "NVLink out of", pcie ? "PCIe into" : "NVLink into",
                                 "NIC out of", "NIC into"};
    return std::string(names[id % kPorts]) + " GPU " + std::to_string(id / kPorts);
  }
  const bool of_leaf = id < leaves_.first + 2 * lanes_ * leaves_.switches;
  const std::int64_t at = id - (of_leaf ? leaves_ : pods_).first, within = at % (2 * lanes_);
  return (of_leaf ? "leaf " : "pod ") + std::to_string(at / (2 * lanes_)) + (within < lanes_ ? " up" : " down") +
         (lanes_ > 1 ? " " + std::to_string(within % lanes_) : "");
}

}  // namespace railcast
