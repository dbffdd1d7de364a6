// Scenarios of expert parallelism's exchange alone: "workload": {"all_to_all": {...}}, one dispatch and one combine.
#pragma once
#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "model/low_latency.hpp"
#include "model/scenario.hpp"

namespace railcast {

struct AllToAllScenario {
  std::string path, about;
  Machine machine;
  Dispatch shape;  ///< dtype: of the dispatch; a combine is BF16
  bool low_latency = false, nvlink = true;
  bool zero_copy = false;  ///< normal mode of DeepEP's second version
  bool own = false;        ///< railcast's own kernels
  std::int64_t gpus = 0;   ///< that the ranks are dealt to; with others than our own kernels one each
  GroupScore router = GroupScore::best;
  std::int64_t comm_sms = 0;                       ///< of normal mode
  ExchangeChunks dispatch_chunks, combine_chunks;  ///< of normal mode
  std::vector<Expectation> expect;
};

/// Whether the scenario's workload is an all-to-all; nothing else is checked.
bool is_all_to_all(const std::string& path, const std::vector<std::string>& overrides);
/// Strict, as load_scenario.
AllToAllScenario load_all_to_all(const std::string& path, const std::vector<std::string>& overrides);

/// One direction: how long, and what it moves.
struct ExchangeFigures {
  LowLatencyTime time;  ///< send and receive: low latency only
  double logical_bytes = 0;
  double per_second(double bytes) const { return time.total > Time() ? bytes / time.total.seconds() : 0; }
};
struct AllToAllForecast {
  ExchangeFigures dispatch, combine;
  Time notify;  ///< layout and notify before a normal dispatch; not part of it
};
/// Throws BadInput where the kernels or the gate cannot do what the scenario asks.
AllToAllForecast forecast(const AllToAllScenario& s);

std::string all_to_all_json(const AllToAllScenario& s, const AllToAllForecast& f);
int run_all_to_all(const RunOptions& o);

}  // namespace railcast
