// What a node's own tools say of it: NCCL's topology file (NCCL_TOPO_DUMP_FILE) or `nvidia-smi topo -m`.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace railcast {

inline constexpr std::size_t kMaxTopologyBytes = 4u << 20;

struct NodeTopology {
  std::int64_t gpus = 0;
  std::int64_t compute_capability = 0;  ///< 90: Hopper; 0: not said
  std::int64_t nvlinks = 0;             ///< of each GPU (of the one with the fewest); 0: PCIe only
  double pcie = 0;                      ///< bytes/s each way of a GPU's PCIe port; 0: not said
  std::int64_t nics = 0;                ///< of the fastest kind
  double nic = 0;                       ///< bytes/s each way; 0: not said
  std::vector<std::string> notes;       ///< what was left out or levelled
};

/// Both throw BadInput naming `file` where the text is malformed, a GPU is unreachable from another, or the node is one
/// that a fabric of equal GPUs cannot stand for (a GPU without NVLink beside others with it, NICs that do not divide
/// the GPUs).
NodeTopology parse_nccl_topology(const std::string& xml, const std::string& file);
NodeTopology parse_topology_matrix(const std::string& text, const std::string& file);

/// XML where the text begins with '<', else a matrix.
NodeTopology parse_topology(const std::string& text, const std::string& file);

}  // namespace railcast
