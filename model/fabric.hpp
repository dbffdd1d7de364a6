// Fabric: the ports and links between GPUs, and the path that a message takes over them.
//
// A node is an NVLink domain; every GPU has a NIC. Leaf switches are rail-optimised (leaf r of a pod joins the NICs of
// index r of the pod's nodes) or one per node group; leaves meet in a non-blocking spine through uplinks whose sum is
// the NICs' below divided by the oversubscription.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "sim/units.hpp"

namespace railcast {

enum class Spreading : std::uint8_t { adaptive, ecmp };  ///< over a leaf's uplinks: evenly, or by a hash of the pair
enum class CrossRail : std::uint8_t { spine, nvlink };   ///< to another rail: through the spine, or over NVLink first

struct FabricSpec {
  std::int64_t nodes = 1, gpus_per_node = 8;
  ByteRate nvlink, nic;  ///< per GPU, each way
  Time nvlink_latency, nic_latency;
  Time spine_latency;                ///< added where a message leaves its leaf
  std::int64_t nodes_per_leaf = 32;  ///< nodes of a pod
  bool rails = true;                 ///< leaves by rail; otherwise one leaf per pod
  double oversubscription = 1;       ///< NIC bandwidth below a leaf over its uplinks'
  std::int64_t uplinks = 32;         ///< of a leaf, for ecmp
  Spreading spreading = Spreading::adaptive;
  CrossRail cross_rail = CrossRail::spine;
  std::vector<std::int64_t> dead_nics;  ///< GPUs whose traffic goes through a neighbour's NIC
  std::vector<std::int64_t> slow_nics;  ///< GPUs whose NIC runs at slow_share of its rate
  double slow_share = 0.5;
  std::uint64_t seed = 0;  ///< of ecmp's hash
};

using LinkId = std::uint32_t;

class Fabric {
 public:
  /// Throws std::invalid_argument naming the key: no node, a rate or oversubscription that is not positive, a dead NIC
  /// that does not exist, a node without a NIC left (unreachable).
  explicit Fabric(const FabricSpec& spec);

  std::int64_t gpus() const { return spec_.nodes * spec_.gpus_per_node; }
  std::size_t links() const { return capacity_.size(); }
  ByteRate capacity(LinkId l) const { return capacity_[l]; }
  std::string name(LinkId l) const;  ///< "nic out of gpu 12", "leaf 3 up"

  /// Links in order, into `path` (cleared first); empty from a GPU to itself.
  void path(std::int64_t from, std::int64_t to, std::vector<LinkId>& path) const;
  Time latency(std::int64_t from, std::int64_t to) const;
  const FabricSpec& spec() const { return spec_; }

 private:
  enum Port { nv_out, nv_in, nic_out, nic_in, kPorts };
  LinkId port(std::int64_t gpu, Port p) const { return static_cast<LinkId>(gpu * kPorts + p); }
  std::int64_t node(std::int64_t gpu) const { return gpu / spec_.gpus_per_node; }
  std::int64_t rail(std::int64_t gpu) const { return gpu % spec_.gpus_per_node; }
  std::int64_t leaf(std::int64_t gpu) const;
  std::int64_t nic_of(std::int64_t gpu) const { return nic_of_[static_cast<std::size_t>(gpu)]; }
  void climb(std::int64_t from_nic, std::int64_t to_nic, std::vector<LinkId>& path) const;
  void check() const;
  void give_nics();

  FabricSpec spec_;
  std::int64_t leaves_ = 0, lanes_ = 1;  ///< lanes: separate uplinks of a leaf
  std::vector<ByteRate> capacity_;
  std::vector<std::int64_t> nic_of_;  ///< by GPU: whose NIC it uses
};

}  // namespace railcast
