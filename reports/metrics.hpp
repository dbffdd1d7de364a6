// What a step's trace says, each figure defined where it stands. Names are those of the JSON; SI units are in the name.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/memory.hpp"
#include "model/scenario.hpp"
#include "model/train.hpp"
#include "reports/critical_path.hpp"
#include "reports/phases.hpp"

namespace railcast {

/// What one pipeline rank holds; `layers` counts those of its stages, MTP modules apart.
struct RankFigures {
  RankMemory memory;
  std::int64_t layers = 0;
};

struct MemoryFigures {
  double peak_bytes = 0;      ///< of the rank that needs most
  double capacity_bytes = 0;  ///< of one GPU
  MemoryUse by_category;      ///< of the rank that needs most (ties: the lowest)
  std::vector<RankFigures> by_rank;
  bool fits() const { return peak_bytes <= capacity_bytes; }
};

/// Name and bytes of each category, in the order of MemoryUse.
std::array<std::pair<const char*, double>, 6> categories(const MemoryUse& u);

struct Metrics {
  double step_time_s = 0;
  double step_low_s = 0, step_high_s = 0;  ///< 90 % of steps are expected between them; 0: not asked for
  double tokens_per_s = 0;                 ///< global_batch x sequence / step_time_s
  double tokens_per_day = 0;
  double tflops_per_gpu_causal = 0;  ///< flops_per_token x tokens_per_s / GPUs, in 1e12
  double mfu_causal = 0;             ///< of it, the share of the BF16 dense peak, whatever the precision
  double mfu_noncausal = 0;          ///< as mfu_causal with the whole score matrix counted
  double gpu_hours_per_trillion_tokens = 0;
  Phases phases;              ///< mean over the cluster's ranks
  double exposed_comm_s = 0;  ///< mean over the cluster's ranks
  double layer_pair_s = 0;    ///< 0 where the schedule has no overlapped F&B
  MemoryFigures memory;       ///< empty where it was not asked for
  double kv_bytes_per_token = 0;
  std::array<double, kProvenances> provenance{};  ///< shares of the critical path, summing to 1
  double own_kernels = 0;                         ///< its share on railcast's own kernels, measured or interpolated
  double flops_per_token = 0;                     ///< forward + backward, causal; no input embedding, MTP or recompute
  ParameterCount parameters;
  std::int64_t ops = 0, events = 0;
  std::vector<PathKind> critical_path;
};

Metrics metrics(const Scenario& s, const TrainStep& step, const Trace& trace, const std::vector<RankMemory>& memory);

/// A single figure by its dotted JSON name ("phases.bubble_s"). `whole`: a count, printed without a fraction.
struct NamedValue {
  std::string name;
  double value = 0;
  bool whole = false;
};
/// Every single figure, in the JSON's order.
std::vector<NamedValue> named_values(const Metrics& m);

/// A published figure beside the forecast. error: relative to the published value. A figure whose `within` is infinite
/// is compared, not checked.
struct Outcome {
  Expectation expected;
  double forecast = 0, error = 0;
  bool checked() const { return std::isfinite(expected.within); }
  bool met() const { return std::abs(error) <= expected.within; }
};
/// Throws BadInput where the scenario names a metric that there is not.
std::vector<Outcome> outcomes(const Scenario& s, const Metrics& m);

}  // namespace railcast
