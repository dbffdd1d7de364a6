// Scenarios of messages over a fabric alone: "workload": {"exchange": {"jobs": [...]}}.
#pragma once
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "model/flows.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// One job's messages: a pattern over a run of GPUs.
struct ExchangeJob {
  std::string name, pattern;  ///< "all_to_all" or "ring" (one step)
  std::int64_t first_gpu = 0, gpus = 0;
  double bytes = 0;  ///< per ordered pair
  double sigma = 0;  ///< spread of ln(bytes); 0: all equal
  std::int64_t seed = 0;
};

struct ExchangeScenario {
  std::string path, about, machine;
  FabricSpec fabric;
  std::vector<ExchangeJob> jobs;
  std::vector<Expectation> expect;
};

/// Whether the scenario's workload is an exchange; nothing else is checked.
bool is_exchange(const std::string& path, const std::vector<std::string>& overrides);
/// Strict, as load_scenario.
ExchangeScenario load_exchange(const std::string& path, const std::vector<std::string>& overrides);

struct ExchangeForecast {
  Exchange exchange;
  std::vector<Time> job_end;
  std::vector<std::string> links;  ///< names of the busiest, most first
  std::vector<double> busy;        ///< of those
  std::int64_t messages = 0;
};
ExchangeForecast forecast(const ExchangeScenario& s);
std::string exchange_json(const ExchangeScenario& s, const ExchangeForecast& f);
int run_exchange(const RunOptions& o);

}  // namespace railcast
