// railcast_exchange.json -> OwnExchangeKernels, and the measured rows that they are fitted to and held against.
#pragma once
#include <string>
#include <vector>

#include "validate/own_exchange_fit.hpp"

namespace railcast {

/// Not known() where the file does not exist.
OwnExchangeKernels load_own_exchange(const std::string& path);

/// Rows of dispatch.csv, combine.csv and their low-latency forms below `measured`/h100 (8 virtual ranks, sustained),
/// and of exchange_peers.csv and low_latency_peers.csv below h100x2. Rows of small chunks, which no default takes, are
/// left out.
std::vector<OwnRow> load_own_rows(const std::string& measured);

}  // namespace railcast
