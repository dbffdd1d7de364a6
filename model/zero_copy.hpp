// Dispatch and combine as DeepEP's second version runs them (2026-04): each warp is a channel of its own and puts rows
// straight where they belong, over NVLink by bulk copies, over IB by puts; no rings, no warps that only pass on.
#pragma once
#include "model/dispatch_pipeline.hpp"

namespace railcast {

/// The slowest of NIC, NVLink and the SMs' copying (measured, Machine::copy_rate; a row per GPU reached, and one per
/// node beyond the own), after the same start as the first version's. Nothing is fitted to it. Chunks play no part.
ExchangeTime zero_copy_exchange(const Machine& m, const ExchangeKernels& k, const NormalExchange& e);

}  // namespace railcast
