#include "cli/load_fabric.hpp"

namespace railcast {
namespace {

// 64 B end to end, the spine included, and what of it the spine adds: arXiv 2505.09343 (IB 2.8 us on one leaf, 3.7
// across; RoCE 3.6 and 5.6). RoCE switches hash flows onto uplinks unless told otherwise.
void read_transport(JsonObject& o, Machine& m) {
  const bool roce = o.one_of("transport", {"ib", "roce"}) == "roce";
  m.nic_latency = Time::seconds(roce ? 5.6e-6 : 3.7e-6);
  m.topology.spine_latency = Time::seconds(roce ? 2.0e-6 : 0.9e-6);
  m.topology.spreading = roce ? Spreading::ecmp : Spreading::adaptive;
  m.sources["nic_latency"] = "arXiv 2505.09343, 64 B end to end: " + std::string(roce ? "RoCE" : "IB") + " cross leaf";
}

void read_shape(JsonObject& o, Topology& t) {
  if (o.has("wiring")) {
    const std::string w = o.one_of("wiring", {"rails", "planes", "tree"});
    t.wiring = w == "rails" ? Wiring::rails : w == "planes" ? Wiring::planes : Wiring::tree;
  }
  if (o.has("inside")) t.inside = o.one_of("inside", {"nvswitch", "pcie"}) == "pcie" ? Inside::pcie : Inside::nvswitch;
  if (o.has("gpus_per_nic")) t.gpus_per_nic = o.integer("gpus_per_nic", 1);
  if (o.has("nodes_per_leaf")) t.nodes_per_leaf = o.integer("nodes_per_leaf", 1);
  if (o.has("nodes_per_pod")) t.nodes_per_pod = o.integer("nodes_per_pod");
  if (o.has("oversubscription")) t.oversubscription = o.number("oversubscription");
  if (o.has("core_oversubscription")) t.core_oversubscription = o.number("core_oversubscription");
  if (o.has("uplinks")) t.uplinks = o.integer("uplinks", 1, 1024);
  if (o.has("spreading"))
    t.spreading = o.one_of("spreading", {"adaptive", "ecmp"}) == "ecmp" ? Spreading::ecmp : Spreading::adaptive;
  if (o.has("cross_rail"))
    t.cross_rail = o.one_of("cross_rail", {"spine", "nvlink"}) == "nvlink" ? CrossRail::nvlink : CrossRail::spine;
  if (o.has("spine_latency")) t.spine_latency = Time::seconds(o.quantity("spine_latency", Dimension::time));
  if (o.has("seed")) t.seed = static_cast<std::uint64_t>(o.integer("seed"));
}

void read_faults(JsonObject& o, Topology& t) {
  if (o.has("background")) t.background = o.quantity("background", Dimension::fraction);
  if (o.has("dead_nics")) t.dead_nics = o.integers("dead_nics");
  if (o.has("cut_rails")) t.cut_rails = o.integers("cut_rails");
  if (o.has("slow_nics")) t.slow_nics = o.integers("slow_nics");
  if (o.has("slow_nic_share")) t.slow_nic_share = o.quantity("slow_nic_share", Dimension::fraction);
  if (o.has("slow_gpus")) t.slow_gpus = o.integers("slow_gpus");
  if (o.has("slow_gpu_share")) t.slow_gpu_share = o.quantity("slow_gpu_share", Dimension::fraction);
}

}  // namespace

void read_fabric(JsonObject o, Machine& m) {
  if (o.has("transport")) read_transport(o, m);
  read_shape(o, m.topology);
  read_faults(o, m.topology);
  o.finish();
}

}  // namespace railcast
