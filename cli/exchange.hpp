// Scenarios of messages over a fabric alone: "workload": {"exchange": {"jobs": [...]}}.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "model/job.hpp"
#include "model/scenario.hpp"

namespace railcast {

struct ExchangeScenario {
  std::string path, about;
  Machine machine;
  std::int64_t nodes = 0;
  std::vector<Job> jobs;
  std::vector<Expectation> expect;
  std::int64_t gpus() const { return nodes * machine.gpus_per_node; }
};

/// Whether the scenario's workload is an exchange; nothing else is checked.
bool is_exchange(const std::string& path, const std::vector<std::string>& overrides);
/// Strict, as load_scenario.
ExchangeScenario load_exchange(const std::string& path, const std::vector<std::string>& overrides);

struct ExchangeForecast {
  Exchange exchange;
  Time makespan;  ///< of the last job, its library's waits included
  std::vector<Time> job_end;
  std::vector<std::optional<Time>> as_one_op;  ///< by job, alone, where the fabric blocks nowhere
  std::vector<std::string> links;              ///< names of the busiest, most first
  std::vector<double> busy;                    ///< of those
  std::int64_t messages = 0;
};
ExchangeForecast forecast(const ExchangeScenario& s);
std::string exchange_json(const ExchangeScenario& s, const ExchangeForecast& f);
int run_exchange(const RunOptions& o);

}  // namespace railcast
