// railcast's own dispatch and combine (kernels/): rows go straight to their places, whether the ranks' windows lie in
// one GPU's memory (virtual ranks) or in several GPUs' over NVLink. One node; several ranks may share a GPU.
#pragma once
#include <cstdint>
#include <string>

#include "model/dispatch_pipeline.hpp"

namespace railcast {

struct OwnExchange {
  Dispatch shape;  ///< dtype: what travels
  bool combine = false, low_latency = false;
  GroupScore router = GroupScore::top2_sum;
  std::int64_t gpus = 0;  ///< that the ranks are dealt to; divides them
  std::int64_t sms = 0;   ///< of normal mode; low latency takes all
};

/// Of one GPU.
struct OwnBytes {
  double local = 0, remote = 0;  ///< rows to the own ranks, to other GPUs' (dispatch stores, combine fetches them)
  double tokens = 0;             ///< its ranks' tokens, read (dispatch) or written (combine)
};
OwnBytes own_bytes(const OwnExchange& e);

/// start + the largest of what the SMs, NVLink and the memory take. `warps`: the SMs' share. Throws
/// std::invalid_argument where the ranks cannot be dealt to the GPUs, or need more GPUs than a node has.
ExchangeTime own_exchange(const Machine& m, const OwnExchangeKernels& k, const OwnExchange& e);

}  // namespace railcast
