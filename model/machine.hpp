// Machine: one kind of GPU node and the network between nodes, each number with its source in machine.json.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "model/exchange_kernels.hpp"
#include "model/fabric.hpp"
#include "model/nccl.hpp"
#include "model/shapes.hpp"
#include "sim/units.hpp"

namespace railcast {

/// What `Cost::draw` is a fraction of; order of OpCost::draw.
enum class Draw : std::uint8_t { hbm, nvlink, nic, power };

/// One GPU's compute and memory, dense peaks.
struct Chip {
  std::int64_t sms = 0;
  FlopRate bf16_peak, fp8_peak;
  ByteRate hbm;
};

struct Machine {
  std::string name, path;    ///< path: of machine.json
  std::string compute_from;  ///< the machine whose calibration is used ("h100" for h800: the same chip), or empty
  bool same_chip = true;     ///< compute_from names the same chip: measured there counts as measured here
  std::int64_t sms = 0, gpus_per_node = 0, max_nodes = 0;  ///< a node is an NVLink domain
  Bytes memory;                                            ///< capacity per GPU
  FlopRate bf16_peak, fp8_peak;                            ///< dense
  ByteRate hbm;                                            ///< peak
  ByteRate nvlink;                                         ///< per GPU, each way, peak
  ByteRate nvlink_effective;                               ///< what DeepEP-like kernels or NCCL reach
  ByteRate nic;                                            ///< per GPU, each way, peak
  ByteRate nic_effective;
  Time nvlink_latency, nic_latency;
  Topology topology;                           ///< between the nodes; a scenario's "fabric" changes it
  Time kernel_launch;                          ///< graph node cost, added per kernel
  std::map<std::string, std::string> impl;     ///< stem or stem/dtype -> which impl's rows a step uses
  std::map<std::string, std::string> sources;  ///< key -> source

  std::string calibration;                     ///< folder of the calibration tables, or empty
  std::string fit;                             ///< fit.json whose costs go before the tables', or empty
  Chip calibrated_on;                          ///< the chip they were measured on; sms 0: no tables
  std::map<std::int64_t, ByteRate> copy_rate;  ///< by SMs of that chip: read + write of a copy, measured; may be empty

  ExchangeKernels exchange;         ///< DeepEP's dispatch and combine; not known() without a table
  OwnExchangeKernels own_exchange;  ///< railcast's; not known() without a table

  Nccl nccl;  ///< known() where the calibration has them
  /// 90 % of repeats of a measured row were within a factor e^repeat_spread of each other; 0: not measured.
  double repeat_spread = 0;
  double steady_ratio = 1;  ///< time of a kernel at the power cap after seconds over that in a sustained row, measured

  Chip chip() const { return {sms, bf16_peak, fp8_peak, hbm}; }
};

/// The impl whose rows a step uses for (stem, dtype): "gemm/bf16" before "gemm"; empty where none is named.
std::string impl_for(const Machine& m, const std::string& stem, Dtype d);

/// `nodes` of the machine and what joins them, at peak rates.
FabricSpec fabric_of(const Machine& m, std::int64_t nodes);

/// Read + write rate of device memory that `sms` SMs reach: the measured copy rate (interpolated in log SMs, scaled
/// by the peaks on another chip) or, without a table, the peak times min(1, 4 sms / all), as a quarter of an H100's
/// SMs fill its memory.
ByteRate memory_rate(const Machine& m, std::int64_t sms);

}  // namespace railcast
