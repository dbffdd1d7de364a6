#include "reports/metrics.hpp"

#include <algorithm>

namespace railcast {
namespace {

void add_speed(Metrics& m, const Scenario& s) {
  const auto gpus = static_cast<double>(s.gpus());
  const auto tokens = static_cast<double>(s.train.global_batch) * static_cast<double>(s.train.sequence);
  m.flops_per_token = flops_per_token(s.model, s.train.sequence, true);
  if (m.step_time_s <= 0) return;
  m.tokens_per_s = tokens / m.step_time_s;
  m.tokens_per_day = m.tokens_per_s * 86400;
  m.gpu_hours_per_trillion_tokens = 1e12 / m.tokens_per_s * gpus / 3600;
  const double tokens_per_gpu = m.tokens_per_s / gpus;
  m.tflops_per_gpu_causal = m.flops_per_token * tokens_per_gpu / 1e12;
  m.mfu_causal = m.flops_per_token * tokens_per_gpu / s.machine.bf16_peak.per_second();
  m.mfu_noncausal =
      flops_per_token(s.model, s.train.sequence, false) * tokens_per_gpu / s.machine.bf16_peak.per_second();
}

void add_memory(Metrics& m, const Scenario& s, const TrainStep& step, const std::vector<RankMemory>& memory) {
  m.memory.capacity_bytes = s.machine.memory.value();
  for (const RankMemory& r : memory) {
    RankFigures& rank = m.memory.by_rank.emplace_back(RankFigures{r, 0});
    for (std::int64_t stage : r.stages) rank.layers += step.stages[static_cast<std::size_t>(stage)].count;
    if (r.peak.total() <= m.memory.peak_bytes) continue;
    m.memory.peak_bytes = r.peak.total();
    m.memory.by_category = r.peak;
  }
}

void add_phases(std::vector<NamedValue>& v, const Phases& p) {
  v.push_back({"phases.forward_s", p.forward_s});
  v.push_back({"phases.backward_s", p.backward_s});
  v.push_back({"phases.weight_s", p.weight_s});
  v.push_back({"phases.overlapped_s", p.overlapped_s});
  v.push_back({"phases.bubble_s", p.bubble_s});
  v.push_back({"phases.optimizer_s", p.optimizer_s});
}

void add_memory(std::vector<NamedValue>& v, const MemoryFigures& m) {
  v.push_back({"memory.peak_bytes", std::round(m.peak_bytes), true});
  v.push_back({"memory.capacity_bytes", std::round(m.capacity_bytes), true});
  for (const auto& [category, bytes] : categories(m.by_category))
    v.push_back({std::string("memory.by_category.") + category, std::round(bytes), true});
}

void add_counts(std::vector<NamedValue>& v, const Metrics& m) {
  v.push_back({"kv_bytes_per_token", m.kv_bytes_per_token, true});
  for (std::size_t p = 0; p < kProvenances; ++p)
    v.push_back({std::string("provenance.") + name(static_cast<Provenance>(p)), m.provenance[p]});
  v.push_back({"provenance.own_kernels", m.own_kernels});
  v.push_back({"flops_per_token", m.flops_per_token});
  v.push_back({"parameters.total", static_cast<double>(m.parameters.total), true});
  v.push_back({"parameters.active", static_cast<double>(m.parameters.active), true});
  v.push_back({"parameters.mtp", static_cast<double>(m.parameters.mtp), true});
  v.push_back({"ops", static_cast<double>(m.ops), true});
  v.push_back({"events", static_cast<double>(m.events), true});
}

}  // namespace

std::array<std::pair<const char*, double>, 6> categories(const MemoryUse& u) {
  return {{{"weights", u.weights},
           {"gradients", u.gradients},
           {"optimizer", u.optimizer},
           {"activations", u.activations},
           {"communication", u.communication},
           {"workspace", u.workspace}}};
}

Metrics metrics(const Scenario& s, const TrainStep& step, const Trace& trace, const std::vector<RankMemory>& memory) {
  Metrics m;
  m.step_time_s = trace.makespan.seconds();
  add_speed(m, s);
  const StepTimes times = step_times(step, trace, s.model, s.plan);
  m.phases = times.phases;
  m.exposed_comm_s = times.exposed_comm_s;
  m.layer_pair_s = times.layer_pair_s;
  add_memory(m, s, step, memory);
  m.kv_bytes_per_token = static_cast<double>(kv_bytes_per_token(s.model));
  m.parameters = parameters(s.model);
  m.ops = static_cast<std::int64_t>(step.graph.ops.size());
  m.events = static_cast<std::int64_t>(trace.events);
  const std::vector<OpId> path = critical_path(step.graph, trace);
  m.critical_path = path_kinds(step.graph, trace, path);
  m.provenance = path_provenance(step, trace, path);
  m.own_kernels = path_own(step, trace, path);
  return m;
}

std::vector<NamedValue> named_values(const Metrics& m) {
  std::vector<NamedValue> v{{"step_time_s", m.step_time_s},
                            {"tokens_per_s", m.tokens_per_s},
                            {"tokens_per_day", m.tokens_per_day},
                            {"tflops_per_gpu_causal", m.tflops_per_gpu_causal},
                            {"mfu_causal", m.mfu_causal},
                            {"mfu_noncausal", m.mfu_noncausal},
                            {"gpu_hours_per_trillion_tokens", m.gpu_hours_per_trillion_tokens}};
  add_phases(v, m.phases);
  v.push_back({"exposed_comm_s", m.exposed_comm_s});
  v.push_back({"layer_pair_s", m.layer_pair_s});
  add_memory(v, m.memory);
  add_counts(v, m);
  return v;
}

std::vector<Outcome> outcomes(const Scenario& s, const Metrics& m) {
  const std::vector<NamedValue> values = named_values(m);
  std::vector<Outcome> all;
  for (std::size_t i = 0; i < s.expect.size(); ++i) {
    const Expectation& e = s.expect[i];
    const auto it = std::ranges::find(values, e.metric, &NamedValue::name);
    if (it == values.end())
      throw BadInput(s.path, "/expect/" + std::to_string(i) + "/metric",
                     "\"" + e.metric + "\" is no metric; the names are those of --json, such as phases.bubble_s");
    const double error = it->value == e.value ? 0 : (it->value - e.value) / std::abs(e.value);
    all.push_back({e, it->value, error});
  }
  return all;
}

}  // namespace railcast
