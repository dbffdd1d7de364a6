// Collectives as one Cost: latency, then each rank's bytes over its ports, pipelined in chunks, so that the slowest
// of NIC, NVLink and the communicating SMs' memory traffic sets the time.
#pragma once
#include <cstdint>

#include "model/cost.hpp"

namespace railcast {

/// Cost of any collective of Shape on `sms` communication SMs. Provenance: assumed.
Cost collective_cost(const Machine& m, const Shape& s, std::int64_t sms);

/// How the NVLink part of an AllReduce, AllGather, ReduceScatter or AllToAll runs; another shape's at
/// nvlink_effective.
NcclPath nvlink_path(const Machine& m, const Shape& s);

/// Dispatch, or combine with its dtype, of a machine whose kernels are not known(): one row per distinct remote node
/// over the NIC, one per distinct GPU over NVLink. The same bytes return in combine, whose forwarders sum a node's
/// partial results first.
Cost exchange_cost(const Machine& m, const Dispatch& d, const Reach& r, std::int64_t sms);

/// Bytes of a token on the wire: elements, and an FP32 scale per 128 of them in fp8_block (7392 for hidden 7168).
double row_bytes(std::int64_t hidden, Dtype d);

}  // namespace railcast
