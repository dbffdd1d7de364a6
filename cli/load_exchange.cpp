#include <nlohmann/json.hpp>

#include "cli/exchange.hpp"
#include "cli/json.hpp"
#include "cli/load_scenario.hpp"

namespace railcast {
namespace {

ExchangeJob read_job(JsonObject& o, std::int64_t gpus) {
  ExchangeJob j;
  j.pattern = o.one_of("pattern", {"all_to_all", "ring"});
  j.name = o.has("name") ? o.text("name") : j.pattern;
  if (o.has("first_gpu")) j.first_gpu = o.integer("first_gpu", 0, gpus - 1);
  j.gpus = o.has("gpus") ? o.integer("gpus", 1) : gpus - j.first_gpu;
  if (j.first_gpu + j.gpus > gpus)
    o.refuse("gpus", "GPUs " + std::to_string(j.first_gpu) + " to " + std::to_string(j.first_gpu + j.gpus - 1) +
                         "; the nodes have " + std::to_string(gpus));
  if (j.pattern == "all_to_all" && j.gpus > 4096)
    o.refuse("gpus", std::to_string(j.gpus) + "; an all-to-all is simulated message by message up to 4096 GPUs");
  j.bytes = o.quantity("bytes", Dimension::bytes);
  if (o.has("sigma")) j.sigma = o.number("sigma");
  if (!(j.sigma >= 0 && j.sigma <= 5)) o.refuse("sigma", "expected the spread of ln(bytes), from 0 to 5");
  if (o.has("seed")) j.seed = o.integer("seed");
  o.finish();
  return j;
}

}  // namespace

bool is_exchange(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  if (!document.is_object()) return false;
  const auto workload = document.find("workload");
  return workload != document.end() && workload->is_object() && workload->contains("exchange");
}

ExchangeScenario load_exchange(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  JsonObject o(document, path);
  ExchangeScenario s;
  s.path = path;
  if (o.has("about")) s.about = o.text("about");
  const Machine m = scenario_machine(o);
  s.machine = m.name;
  s.fabric = fabric_of(m, o.integer("nodes", 1, 1 << 20));
  if (s.fabric.nodes * s.fabric.gpus_per_node > 1 << 20) o.refuse("nodes", "more than 1048576 GPUs");
  check_fabric(path, m, s.fabric.nodes);
  JsonObject workload = o.object("workload"), exchange = workload.object("exchange");
  for (JsonObject& job : exchange.objects("jobs"))
    s.jobs.push_back(read_job(job, s.fabric.nodes * s.fabric.gpus_per_node));
  if (s.jobs.empty()) exchange.refuse("jobs", "expected one job at least");
  exchange.finish(), workload.finish();
  s.expect = scenario_expectations(o);
  o.finish();
  return s;
}

}  // namespace railcast
