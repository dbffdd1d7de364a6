// Scenarios of messages over a fabric alone: "workload": {"exchange": {...}}.
#pragma once
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "model/flows.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// One job's messages: a pattern over a run of GPUs.
struct ExchangeJob {
  std::string name, pattern;  ///< "all_to_all", "ring"
  std::int64_t first_gpu = 0, gpus = 0;
  double bytes = 0, sigma = 0;  ///< per ordered pair (ring: per neighbour); spread of ln(bytes)
  std::int64_t seed = 0;
};

struct ExchangeScenario {
  std::string path, about, machine;
  FabricSpec fabric;
  std::vector<ExchangeJob> jobs;
  std::vector<Expectation> expect;
};

/// Whether the scenario's workload is an exchange. Does not check anything else.
bool is_exchange(const RunOptions& o);
ExchangeScenario load_exchange(const std::string& path, const std::vector<std::string>& overrides);
int run_exchange(const RunOptions& o);

}  // namespace railcast
