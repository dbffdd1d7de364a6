// Dispatch and combine in low-latency mode as DeepEP runs them: every selection is a message of its own, put straight
// to its expert's rank, over NVLink within a node and by the NIC beyond it; a last message per expert carries the
// count. All SMs send and receive; with the receive hook none is held while the bytes fly.
#pragma once
#include "model/dispatch_pipeline.hpp"

namespace railcast {

struct LowLatencyExchange {
  Dispatch shape;  ///< dtype: what travels; fp8_block is cast on the way out
  bool combine = false;
  bool nvlink = true;  ///< false: all but the own GPU's by the NIC, as before DeepEP's version of 2025-06-05
};

struct LowLatencyTime : ExchangeTime {
  Time send, receive;  ///< what the two launches of hook mode hold the SMs for, their waits left out
};

/// Bytes of one selection's message (7408 for hidden 7168 in FP8: scales and a header of 16).
double message_bytes(const LowLatencyExchange& e);

LowLatencyTime low_latency_exchange(const Machine& m, const ExchangeKernels& k, const LowLatencyExchange& e);

}  // namespace railcast
