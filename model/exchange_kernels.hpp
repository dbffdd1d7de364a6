// The dispatch and combine kernels: what their warps, rings and messages cost. Numbers with their source come from the
// calibration folder's deepep.json.
#pragma once
#include <cstdint>
#include <string>

#include "sim/units.hpp"

namespace railcast {

/// Tokens per chunk and per ring of a (channel, peer).
struct ExchangeChunks {
  std::int64_t nvlink = 0, ib = 0;
  std::int64_t nvlink_ring = 288, ib_ring = 128;
  bool operator==(const ExchangeChunks&) const = default;
};

/// The shares, row, message and start are fitted together to DeepEP's published tables (the test of
/// validate/exchange_fit does it again); warp and publish are
/// measured.
struct ExchangeKernels {
  double nvlink_share = 0, nic_share = 0;  ///< of a port's peak that rows of a few KB reach
  Time row;             ///< a warp's time per row besides its bytes: find the slot, wait for the head
  ByteRate warp;        ///< bytes per second that one warp copies
  Time publish;         ///< a warp's time to tell a peer over NVLink of a chunk: a release store
  Time message;         ///< a NIC's time per message besides its bytes
  Time start;           ///< of either mode: launch, barriers among the SMs and with the peers, last stragglers
  Time layout, notify;  ///< not fitted: who gets what, counted over 4096 tokens; counts exchanged, host told
  ExchangeChunks dispatch, combine;  ///< chosen by the user; nvlink 0: default_chunks()
  std::string source;                ///< file
  bool known() const { return nvlink_share > 0; }
};

/// Layout and notify together, before a normal dispatch of `tokens`.
Time notify_time(const ExchangeKernels& k, std::int64_t tokens);

/// What one of railcast's own four kernels costs (own_exchange.hpp; calibration folder's railcast_exchange.json).
/// Fitted to our own rows (tests/validate/own_exchange_fit_test.cpp does it again).
struct OwnKernel {
  Time start;                                 ///< launch, the waits at both ends
  Time peer;                                  ///< more of them where other GPUs take part
  ByteRate local_sm, remote_sm;               ///< of one SM to the own memory, over NVLink; 0: never the bound
  double nvlink_share = 0, memory_share = 0;  ///< of NVLink's peak; of a copy on as many SMs
};

struct OwnExchangeKernels {
  OwnKernel dispatch, combine, low_latency_dispatch, low_latency_combine;
  std::string source;  ///< file
  bool known() const { return dispatch.memory_share > 0; }
};

}  // namespace railcast
