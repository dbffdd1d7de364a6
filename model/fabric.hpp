// Fabric: the ports and links between GPUs, and the path that a message takes over them.
//
// A node is an NVLink domain (a board of 8, a rack of 72) or a PCIe tree; a NIC serves one GPU or several neighbours.
// NICs of the same place in their nodes are a rail. Leaf switches join `nodes_per_leaf` nodes: their NICs of one rail
// (rails, planes) or all of them (tree). Leaves meet in a spine through uplinks whose sum is the NICs' below divided by
// the oversubscription; with `nodes_per_pod` a spine joins a pod only, and pods meet in a core.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/units.hpp"

namespace railcast {

/// rails: one leaf per rail, one spine for all (multi-rail). planes: a leaf and a spine per rail, so that only NVLink
/// leads from one rail to another (multi-plane, as V3 was trained on: arXiv 2505.09343, 5.1). tree: rails share leaves.
enum class Wiring : std::uint8_t { rails, planes, tree };
enum class Spreading : std::uint8_t { adaptive, ecmp };  ///< over a leaf's uplinks: evenly, or by a hash of the pair
enum class CrossRail : std::uint8_t { spine, nvlink };   ///< to another rail: through the spine, or over NVLink first
enum class Inside : std::uint8_t { nvswitch, pcie };     ///< pcie: the NIC's traffic passes the GPU's own port too

/// What joins the nodes, and what is wrong with it today. Lists name GPUs by rank.
struct Topology {
  Wiring wiring = Wiring::rails;
  Inside inside = Inside::nvswitch;
  std::int64_t gpus_per_nic = 1;
  std::int64_t nodes_per_leaf = 32;  ///< 64-port switches, half of the ports down
  std::int64_t nodes_per_pod = 0;    ///< 0: two levels
  double oversubscription = 1;       ///< NIC bandwidth below a leaf over its uplinks'
  double core_oversubscription = 1;  ///< leaf uplinks of a pod over its own
  double background = 0;             ///< share of every uplink that other jobs take
  std::int64_t uplinks = 32;         ///< of a leaf or pod, for ecmp
  Spreading spreading = Spreading::adaptive;
  CrossRail cross_rail = CrossRail::spine;
  /// What a spine adds to the latency: IB 3.7 us across leaves, 2.8 us below one (arXiv 2505.09343, 64 B).
  Time spine_latency = Time::seconds(0.9e-6);
  std::vector<std::int64_t> dead_nics;  ///< GPUs whose traffic goes through a neighbour's NIC
  std::vector<std::int64_t> cut_rails;  ///< rails without a leaf: the same for every node
  std::vector<std::int64_t> slow_nics;  ///< GPUs whose NIC runs at slow_nic_share of its rate
  double slow_nic_share = 0.5;
  std::vector<std::int64_t> slow_gpus;  ///< GPUs whose kernels, copies over NVLink too, run at slow_gpu_share
  double slow_gpu_share = 0.8;
  std::uint64_t seed = 0;  ///< of ecmp's hash

  /// Every NIC reaches every other of its rail at its full rate, whatever else is sent along rails.
  bool non_blocking() const;
  bool operator==(const Topology&) const = default;
};

struct FabricSpec {
  std::int64_t nodes = 1, gpus_per_node = 8;
  ByteRate nvlink;                   ///< per GPU, each way (Inside::pcie: of its PCIe port)
  ByteRate nic;                      ///< per NIC, each way
  Time nvlink_latency, nic_latency;  ///< nic_latency: end to end across one spine
  Topology topology;
};

using LinkId = std::uint32_t;

class Fabric {
 public:
  /// Throws std::invalid_argument naming the key: no node, a rate or oversubscription that is not positive, a GPU or
  /// rail that does not exist, a node without a NIC left (unreachable).
  explicit Fabric(const FabricSpec& spec);

  std::int64_t gpus() const { return spec_.nodes * spec_.gpus_per_node; }
  std::size_t links() const { return capacity_.size(); }
  ByteRate capacity(LinkId l) const { return capacity_[l]; }
  std::string name(LinkId l) const;  ///< "NIC out of GPU 12", "leaf 3 up"

  /// Links in order, into `path` (cleared first); empty from a GPU to itself. Throws std::invalid_argument where dead
  /// NICs leave two nodes without a common plane.
  void path(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const;
  Time latency(std::int64_t from, std::int64_t to) const;
  std::int64_t node(std::int64_t gpu) const { return gpu / spec_.gpus_per_node; }
  std::int64_t rail(std::int64_t gpu) const { return gpu % spec_.gpus_per_node; }
  const FabricSpec& spec() const { return spec_; }

 private:
  enum Port { nv_out, nv_in, nic_out, nic_in, kPorts };
  /// A run of links of one level: up 0 .. lanes, then down.
  struct Level {
    std::int64_t first = 0, switches = 0;
  };
  LinkId port(std::int64_t gpu, Port p) const { return static_cast<LinkId>(gpu * kPorts + p); }
  LinkId uplink(const Level& l, std::int64_t of, std::int64_t lane, bool down) const;
  std::int64_t rails() const { return spec_.topology.wiring == Wiring::tree ? 1 : spec_.gpus_per_node; }
  std::int64_t leaf(std::int64_t nic) const;
  std::int64_t pod(std::int64_t nic) const;
  /// The NIC itself, or one of the same node that is alive in its stead; -1: none is.
  std::int64_t alive(std::int64_t nic) const { return alive_[static_cast<std::size_t>(nic)]; }
  std::int64_t own_nic(std::int64_t gpu) const { return gpu - gpu % spec_.gpus_per_node % spec_.topology.gpus_per_nic; }
  struct Nics {
    std::int64_t first = 0, last = 0;
  };
  Nics nics(std::int64_t from, std::int64_t to) const;
  Nics common_plane(std::int64_t from, std::int64_t to) const;
  void hop(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const;
  void climb(const Nics& n, std::vector<LinkId>& path) const;
  void check() const;
  void check_topology() const;
  void find_alive();
  void add_ports();
  Level add_level(const std::vector<double>& nics_below, double per_nic);

  FabricSpec spec_;
  std::int64_t lanes_ = 1;  ///< separate uplinks of a switch
  Level leaves_, pods_;
  std::vector<ByteRate> capacity_;
  std::vector<std::int64_t> alive_;  ///< by GPU
};

}  // namespace railcast
