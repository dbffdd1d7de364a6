#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/all_to_all.hpp"
#include "cli/json.hpp"
#include "cli/load_scenario.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kMost = 1 << 20;

void read_plan(JsonObject o, AllToAllScenario& s) {
  s.shape.ranks = o.integer("ep", 1, kMost);
  if (o.has("comm_sms")) s.comm_sms = o.integer("comm_sms", 2, s.machine.sms);
  const std::int64_t node = s.machine.gpus_per_node;
  s.gpus = o.has("gpus") ? o.integer("gpus", 1, node) : s.shape.ranks;
  if (s.shape.ranks % s.gpus != 0)
    o.refuse("gpus",
             std::to_string(s.shape.ranks) + " ranks (ep) cannot be dealt to " + std::to_string(s.gpus) + " GPUs");
  if (s.shape.ranks > node && s.shape.ranks % node != 0)
    o.refuse("ep", std::to_string(s.shape.ranks) + " ranks do not fill nodes of " + std::to_string(node) + " GPUs");
  o.finish();
}

// "test": DeepEP's, whose groups are the nodes, four at most a token. "v3": the gate of arXiv 2412.19437, 2.1.2.
void read_router(JsonObject& o, AllToAllScenario& s) {
  const std::int64_t nodes = std::max<std::int64_t>(1, s.shape.ranks / s.machine.gpus_per_node);
  const bool test = !o.has("router") || o.one_of("router", {"test", "v3"}) == "test";
  s.router = test ? GroupScore::best : GroupScore::top2_sum;
  s.shape.groups = o.has("groups") ? o.integer("groups", 1, kMost) : test ? nodes : 8;
  const std::int64_t usual = std::min<std::int64_t>(4, s.shape.groups);
  s.shape.top_groups = o.has("top_groups") ? o.integer("top_groups", 1, kMost) : usual;
  if (s.shape.top_groups > s.shape.groups)
    o.refuse("top_groups", std::to_string(s.shape.top_groups) + " of " + std::to_string(s.shape.groups) + " groups");
  if (s.shape.experts % s.shape.ranks != 0)
    o.refuse("experts", std::to_string(s.shape.experts) + " do not divide over " + std::to_string(s.shape.ranks) +
                            " ranks (plan.ep)");
  if (s.shape.experts % s.shape.groups != 0)
    o.refuse(o.has("groups") ? "groups" : "experts", std::to_string(s.shape.experts) + " experts do not divide into " +
                                                         std::to_string(s.shape.groups) + " groups");
  if (s.shape.top_k > s.shape.top_groups * (s.shape.experts / s.shape.groups))
    o.refuse("top_k", std::to_string(s.shape.top_k) + " experts do not fit in " + std::to_string(s.shape.top_groups) +
                          " groups of " + std::to_string(s.shape.experts / s.shape.groups));
}

void read_chunks(JsonObject& o, ExchangeChunks& c) {
  if (o.has("nvlink_chunk")) c.nvlink = o.integer("nvlink_chunk", 1, kMost);
  if (o.has("ib_chunk")) c.ib = o.integer("ib_chunk", 1, kMost);
  if (o.has("nvlink_ring")) c.nvlink_ring = o.integer("nvlink_ring", 1, kMost);
  if (o.has("ib_ring")) c.ib_ring = o.integer("ib_ring", 1, kMost);
  if (c.nvlink > c.nvlink_ring) o.refuse("nvlink_chunk", "a chunk is larger than its ring (nvlink_ring)");
  if (c.ib > c.ib_ring) o.refuse("ib_chunk", "a chunk is larger than its ring (ib_ring)");
}

/// Whose kernels: DeepEP's first version where nothing is said.
void read_kernels(JsonObject& o, AllToAllScenario& s) {
  const std::vector<std::string> known =
      s.low_latency ? std::vector<std::string>{"v1", "railcast"} : std::vector<std::string>{"v1", "v2", "railcast"};
  const std::string kernels = o.has("kernels") ? o.one_of("kernels", known) : "v1";
  s.zero_copy = kernels == "v2", s.own = kernels == "railcast";
  if (s.own && !s.machine.own_exchange.known())
    o.refuse("kernels", s.machine.name + " has no constants of our exchange (calibration/railcast_exchange.json)");
  if (s.own && s.gpus > s.machine.gpus_per_node)
    o.refuse("kernels", "railcast's stay within a node of " + std::to_string(s.machine.gpus_per_node) + " GPUs");
  if (!s.own && s.gpus != s.shape.ranks)
    o.refuse("kernels", "several ranks share a GPU (plan.gpus) with railcast's own kernels only; say \"railcast\"");
}

void read_all_to_all(JsonObject o, AllToAllScenario& s) {
  s.low_latency = o.has("mode") && o.one_of("mode", {"normal", "low_latency"}) == "low_latency";
  s.shape.tokens = o.integer("tokens", 1, 1 << 24);
  s.shape.hidden = o.integer("hidden", 1, 1 << 20);
  s.shape.experts = o.integer("experts", 1, 65535), s.shape.top_k = o.integer("top_k", 1, 65535);
  s.shape.dtype = !o.has("dtype") || o.one_of("dtype", {"fp8", "bf16"}) == "fp8" ? Dtype::fp8_block : Dtype::bf16;
  if (s.shape.dtype == Dtype::fp8_block && s.shape.hidden % 128 != 0)
    o.refuse("hidden", std::to_string(s.shape.hidden) + " has no whole scales of 128 elements; use dtype bf16");
  read_router(o, s);
  s.dispatch_chunks = default_chunks(s.shape.ranks, s.machine.gpus_per_node, false);
  s.combine_chunks = default_chunks(s.shape.ranks, s.machine.gpus_per_node, true);
  read_kernels(o, s);
  if (s.low_latency) {
    if (o.has("nvlink")) s.nvlink = o.boolean("nvlink");
  } else {
    if (!s.zero_copy && !s.own) read_chunks(o, s.dispatch_chunks), read_chunks(o, s.combine_chunks);
  }
  o.finish();
}

}  // namespace

bool is_all_to_all(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  return document.is_object() && document.contains("workload") && document.at("workload").is_object() &&
         document.at("workload").contains("all_to_all");
}

AllToAllScenario load_all_to_all(const std::string& path, const std::vector<std::string>& overrides) {
  const auto document = scenario_document(path, overrides);
  JsonObject o(document, path);
  AllToAllScenario s;
  s.path = path;
  if (o.has("about")) s.about = o.text("about");
  s.machine = scenario_machine(o);
  if (!s.machine.exchange.known())
    o.refuse("machine", s.machine.name + " has no constants of the dispatch kernels (calibration/deepep.json); name " +
                            "\"compute_from\": \"h100\" in its machine.json to take those of an H100");
  s.comm_sms = std::min<std::int64_t>(20, s.machine.sms);  // DeepEP's own default
  read_plan(o.object("plan"), s);
  JsonObject workload = o.object("workload");
  read_all_to_all(workload.object("all_to_all"), s);
  workload.finish();
  check_fabric(path, s.machine, (s.shape.ranks + s.machine.gpus_per_node - 1) / s.machine.gpus_per_node);
  s.expect = scenario_expectations(o);
  o.finish();
  return s;
}

}  // namespace railcast
