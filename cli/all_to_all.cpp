#include "cli/all_to_all.hpp"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/expected.hpp"
#include "model/collective.hpp"
#include "model/own_exchange.hpp"
#include "model/stretch.hpp"
#include "model/zero_copy.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr double kGb = 1e9;

ExchangeFigures figures_of(const AllToAllScenario& s, bool combine) {
  Dispatch d = s.shape;
  if (combine) d.dtype = Dtype::bf16;
  const Machine m = as_slowest_sees(s.machine, s.own ? s.gpus : d.ranks);
  ExchangeFigures f;
  if (s.own) {
    const OwnExchange e{d, combine, s.low_latency, s.router, s.gpus, s.comm_sms};
    static_cast<ExchangeTime&>(f.time) = own_exchange(m, m.own_exchange, e);
    const OwnBytes b = own_bytes(e);
    f.logical_bytes = b.local + b.remote;
    return f;
  }
  if (s.low_latency) {
    const LowLatencyExchange e{d, combine, s.nvlink};
    f.time = low_latency_exchange(m, m.exchange, e);
    f.logical_bytes = static_cast<double>(d.tokens * d.top_k) * message_bytes(e);
    return f;
  }
  const auto& chunks = combine ? s.combine_chunks : s.dispatch_chunks;
  const NormalExchange e{d, combine, s.router, s.comm_sms, chunks};
  static_cast<ExchangeTime&>(f.time) = (s.zero_copy ? zero_copy_exchange : normal_exchange)(m, m.exchange, e);
  const Reach r = expected_reach(d, s.machine.gpus_per_node, s.router);
  const double copies = d.ranks <= s.machine.gpus_per_node ? r.gpus : r.nodes;
  f.logical_bytes = static_cast<double>(d.tokens) * copies * row_bytes(d.hidden, d.dtype);
  return f;
}

Figures figures(const AllToAllScenario& s, const AllToAllForecast& f) {
  Figures all{{"notify_s", f.notify.seconds()}};
  for (const bool combine : {false, true}) {
    const ExchangeFigures& e = combine ? f.combine : f.dispatch;
    const std::string op = combine ? "combine" : "dispatch";
    all[op + "_s"] = e.time.total.seconds();
    all[op + "_logical_gb_per_s"] = e.per_second(e.logical_bytes) / kGb;
    all[op + "_nic_gb_per_s"] = e.per_second(e.time.nic_bytes) / kGb;
    all[op + "_nvlink_gb_per_s"] = e.per_second(e.time.nvlink_bytes) / kGb;
    all[op + "_logical_bytes"] = e.logical_bytes;
    all[op + "_nic_bytes"] = e.time.nic_bytes, all[op + "_nvlink_bytes"] = e.time.nvlink_bytes;
    all[op + "_nic_busy"] = e.time.nic, all[op + "_nvlink_busy"] = e.time.nvlink;
    if (!s.low_latency) all[op + "_warps_busy"] = e.time.warps;
    if (s.low_latency && !s.own) all[op + "_send_s"] = e.time.send.seconds();
    if (s.low_latency && !s.own) all[op + "_receive_s"] = e.time.receive.seconds();
  }
  return all;
}

// Warps that wait for a full port count as busy, so a port that is nearly always busy comes first.
const char* bound(const AllToAllScenario& s, const LowLatencyTime& t) {
  constexpr double kFull = 0.9;
  if (t.total == Time()) return "nothing: no other GPU";
  if (s.own)
    return std::max(t.nvlink, t.warps) < 0.5 ? "latency" : t.nvlink > t.warps ? "NVLink" : "the SMs or their memory";
  if (s.low_latency) return std::max(t.nic, t.nvlink) < 0.5 ? "latency" : t.nic > t.nvlink ? "NIC" : "NVLink";
  if (t.nic >= kFull && t.nic >= t.nvlink) return "NIC";
  if (t.nvlink >= kFull) return "NVLink";
  return t.warps >= kFull ? "the warps of the SMs" : "waits in the pipeline";
}

std::string own_setting(const AllToAllScenario& s) {
  return std::to_string(s.shape.ranks) + " ranks on " + std::to_string(s.gpus) +
         (s.gpus > 1 ? " GPUs of " : " GPU of ") + s.machine.name + ", " + std::to_string(s.shape.tokens) +
         " tokens a rank of " + std::to_string(s.shape.hidden) + ", top " + std::to_string(s.shape.top_k) + " of " +
         std::to_string(s.shape.experts) + ", railcast's own kernels, " +
         (s.low_latency ? "low latency" : std::to_string(s.comm_sms) + " SMs");
}

std::string setting(const AllToAllScenario& s) {
  if (s.own) return own_setting(s);
  const std::int64_t node = std::min(s.machine.gpus_per_node, s.shape.ranks);
  std::string text = "EP" + std::to_string(s.shape.ranks) + " on " + s.machine.name + ", " + std::to_string(node) +
                     " GPUs a node, " + std::to_string(s.shape.tokens) + " tokens a GPU of " +
                     std::to_string(s.shape.hidden) + ", top " + std::to_string(s.shape.top_k) + " of " +
                     std::to_string(s.shape.experts);
  if (s.low_latency) return text + ", low-latency mode (all SMs; plan.comm_sms and the router change nothing)";
  return text + (s.zero_copy ? ", second version, " : ", normal mode, ") + std::to_string(s.comm_sms) + " SMs, " +
         (s.router == GroupScore::best ? "DeepEP's test router" : "V3's gate");
}

std::string rate(const ExchangeFigures& e, double bytes) { return significant(e.per_second(bytes) / kGb, 3) + " GB/s"; }

std::string text(const AllToAllScenario& s, const AllToAllForecast& f, bool colour) {
  const Figures all = figures(s, f);
  std::string out = inked(s.about.empty() ? s.path : s.about, Ink::bold, colour) + "\ndispatch " +
                    duration_text(f.dispatch.time.total.seconds()) + ", combine " +
                    duration_text(f.combine.time.total.seconds()) + ": " + setting(s) + "\n\n";
  Table t("lrrrrrrl");
  t.row({"", "time", "logical", "NIC", "NVLink", "NIC busy", "NVLink busy", "bound by"});
  for (const bool combine : {false, true}) {
    const ExchangeFigures& e = combine ? f.combine : f.dispatch;
    t.row({combine ? "combine" : "dispatch", duration_text(e.time.total.seconds()), rate(e, e.logical_bytes),
           rate(e, e.time.nic_bytes), rate(e, e.time.nvlink_bytes), percent_text(e.time.nic),
           percent_text(e.time.nvlink), bound(s, e.time)});
  }
  if (!s.low_latency && !s.own)
    t.row({"notify", duration_text(f.notify.seconds()), "", "", "", "", "", "before a dispatch"});
  out += t.text() + "\n  logical: " +
         (s.own ? "rows to all ranks, the own GPU's included"
                : "what DeepEP's tables count, " +
                      std::string(s.low_latency ? "a message per selection"
                                  : s.shape.ranks <= s.machine.gpus_per_node
                                      ? "a row per GPU that a token reaches, its own included"
                                      : "a row per node that a token reaches, its own included")) +
         "; NIC and NVLink: out of a GPU, on the wire\n";
  if (s.low_latency && !s.own)
    out += "  with the receive hook SMs are held for " + duration_text(all.at("dispatch_send_s")) + " to send and " +
           duration_text(all.at("dispatch_receive_s")) + " to receive a dispatch, " +
           duration_text(all.at("combine_send_s")) + " and " + duration_text(all.at("combine_receive_s")) +
           " a combine; none while bytes fly\n";
  const std::string expected = expected_text(s.expect, all, colour);
  return out + (expected.empty() ? "" : "\n" + expected);
}

}  // namespace

AllToAllForecast forecast(const AllToAllScenario& s) {
  AllToAllForecast f;
  try {
    f.dispatch = figures_of(s, false), f.combine = figures_of(s, true);
  } catch (const std::invalid_argument& e) {
    throw refused(s.path, e.what(), "/workload/all_to_all");
  }
  if (!s.low_latency && !s.own && s.shape.ranks > 1) f.notify = notify_time(s.machine.exchange, s.shape.tokens);
  return f;
}

std::string all_to_all_json(const AllToAllScenario& s, const AllToAllForecast& f) {
  nlohmann::ordered_json j;
  const Figures all = figures(s, f);
  j["mode"] = s.low_latency ? "low_latency" : "normal";
  for (const char* name : {"dispatch_s", "combine_s", "notify_s"}) j[name] = all.at(name);
  for (const auto& [name, value] : all) j[name] = value;
  j["dispatch_bound_by"] = bound(s, f.dispatch.time), j["combine_bound_by"] = bound(s, f.combine.time);
  j["expect"] = expected_json(s.expect, all);
  return j.dump(2) + "\n";
}

int run_all_to_all(const RunOptions& o) {
  if (!o.trace.empty()) throw BadInput(o.trace, "", "an all-to-all has no trace; --trace is for training steps");
  const AllToAllScenario s = load_all_to_all(o.scenario, o.set);
  const AllToAllForecast f = forecast(s);
  check_expected(s.path, s.expect, figures(s, f));
  if (!write_json(o.json, all_to_all_json(s, f))) std::cout << text(s, f, use_colour());
  return kForecast;
}

}  // namespace railcast
