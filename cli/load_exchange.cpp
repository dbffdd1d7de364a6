#include <nlohmann/json.hpp>

#include "cli/exchange.hpp"
#include "cli/json.hpp"
#include "cli/load_scenario.hpp"

namespace railcast {
namespace {

FabricSpec of_machine(const Machine& m, std::int64_t nodes) {
  FabricSpec f;
  f.nodes = nodes, f.gpus_per_node = m.gpus_per_node;
  f.nvlink = m.nvlink, f.nic = m.nic;
  f.nvlink_latency = m.nvlink_latency, f.nic_latency = m.nic_latency;
  return f;
}

void read_fabric(JsonObject o, FabricSpec& f) {
  if (o.has("nvlink")) f.nvlink = ByteRate(o.quantity("nvlink", Dimension::byte_rate));
  if (o.has("nic")) f.nic = ByteRate(o.quantity("nic", Dimension::byte_rate));
  if (o.has("nvlink_latency")) f.nvlink_latency = Time::seconds(o.quantity("nvlink_latency", Dimension::time));
  if (o.has("nic_latency")) f.nic_latency = Time::seconds(o.quantity("nic_latency", Dimension::time));
  if (o.has("spine_latency")) f.spine_latency = Time::seconds(o.quantity("spine_latency", Dimension::time));
  if (o.has("gpus_per_node")) f.gpus_per_node = o.integer("gpus_per_node", 1, 1024);
  if (o.has("nodes_per_leaf")) f.nodes_per_leaf = o.integer("nodes_per_leaf", 1);
  if (o.has("rails")) f.rails = o.boolean("rails");
  if (o.has("oversubscription")) f.oversubscription = o.number("oversubscription");
  if (o.has("uplinks")) f.uplinks = o.integer("uplinks", 1, 1024);
  if (o.has("spreading"))
    f.spreading = o.one_of("spreading", {"adaptive", "ecmp"}) == "ecmp" ? Spreading::ecmp : Spreading::adaptive;
  if (o.has("cross_rail"))
    f.cross_rail = o.one_of("cross_rail", {"spine", "nvlink"}) == "nvlink" ? CrossRail::nvlink : CrossRail::spine;
  if (o.has("dead_nics")) f.dead_nics = o.integers("dead_nics");
  if (o.has("slow_nics")) f.slow_nics = o.integers("slow_nics");
  if (o.has("slow_share")) f.slow_share = o.number("slow_share");
  if (o.has("seed")) f.seed = static_cast<std::uint64_t>(o.integer("seed"));
  o.finish();
}

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
  s.fabric = of_machine(m, o.integer("nodes", 1, 1 << 20));
  if (o.has("fabric")) read_fabric(o.object("fabric"), s.fabric);
  if (s.fabric.nodes * s.fabric.gpus_per_node > 1 << 20) o.refuse("nodes", "more than 1048576 GPUs");
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
