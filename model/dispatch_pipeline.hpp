// Dispatch and combine in normal mode as DeepEP runs them: per channel (two SMs), warps with roles pass chunks of
// tokens through rings of finite size.
//
//   dispatch   IB send (7 warps) -> NIC -> IB-to-NVLink forward (a warp per GPU of the node) -> NVLink -> receive
//   (same) combine    NVLink send (a warp per GPU) -> forward and sum (24 warps over the nodes) -> NIC -> receive and
//   sum (16) one node   send (24 warps over the GPUs) -> NVLink -> receive, or receive and sum (24)
//
// A token crosses IB once per node that it reaches. All GPUs do the same, so one is simulated: what it sends to a node
// stands for what it receives from there.
#pragma once
#include <cstdint>

#include "model/cost.hpp"
#include "model/exchange_kernels.hpp"

namespace railcast {

/// One dispatch or combine of normal mode on `sms` SMs (two at least; an odd one is idle).
struct NormalExchange {
  Dispatch shape;  ///< dtype: what travels
  bool combine = false;
  GroupScore router = GroupScore::top2_sum;
  std::int64_t sms = 0;
  ExchangeChunks chunks;
};

struct ExchangeTime {
  Time total;                              ///< transmit only, as DeepEP's tables count
  double nic = 0, nvlink = 0;              ///< shares of `total` in which the port is busy at the rate it reaches
  double warps = 0;                        ///< the same of the busiest group of warps, waits for the port included
  double nic_bytes = 0, nvlink_bytes = 0;  ///< out of one GPU, on the wire
  double memory_bytes = 0;                 ///< read and written in one GPU's memory
};

/// DeepEP's choice for this number of ranks (its tests search around it).
ExchangeChunks default_chunks(std::int64_t ranks, std::int64_t ranks_per_node, bool combine);

/// Throws std::invalid_argument where the gate cannot be laid out or an argument is out of range.
ExchangeTime normal_exchange(const Machine& m, const ExchangeKernels& k, const NormalExchange& e);

}  // namespace railcast
