// Machine: one kind of GPU node and the network between nodes, each number with its source in machine.json.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "model/shapes.hpp"
#include "sim/units.hpp"

namespace railcast {

/// What `Cost::draw` is a fraction of; order of OpCost::draw.
enum class Draw : std::uint8_t { hbm, nvlink, nic, power };

struct Machine {
  std::string name, path;    ///< path: of machine.json
  std::string compute_from;  ///< the machine whose calibration is used ("h100" for h800: the same chip), or empty
  bool same_chip = true;     ///< compute_from names the same chip: measured there counts as measured here
  std::int64_t sms = 0, gpus_per_node = 0, max_nodes = 0;
  Bytes memory;                  ///< capacity per GPU
  FlopRate bf16_peak, fp8_peak;  ///< dense
  ByteRate hbm;                  ///< peak
  ByteRate nvlink;               ///< per GPU, each way, peak
  ByteRate nvlink_effective;     ///< what DeepEP-like kernels or NCCL reach
  ByteRate nic;                  ///< per GPU, each way, peak
  ByteRate nic_effective;
  Time nvlink_latency, nic_latency;
  Time kernel_launch;                          ///< graph node cost, added per kernel
  std::map<std::string, std::string> impl;     ///< stem -> which impl's rows a step uses
  std::map<std::string, std::string> sources;  ///< key -> source
};

}  // namespace railcast
