#include "reports/text.hpp"

#include <algorithm>

#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

std::string share_of(double part, double whole) { return percent_text(whole > 0 ? part / whole : 0); }

std::string cluster(const Scenario& s) {
  return std::to_string(s.gpus()) + " " + s.machine.name + " (" + std::to_string(s.nodes) + " nodes)";
}

std::string interval_text(const Metrics& m) {
  if (m.step_high_s <= 0) return "";
  return " (" + duration_text(m.step_low_s) + " - " + duration_text(m.step_high_s) + ", 90 %)";
}

std::string title(const Scenario& s, const Metrics& m, bool colour) {
  return inked(s.about.empty() ? s.path : s.about, Ink::bold, colour) + "\n" + duration_text(m.step_time_s) +
         interval_text(m) + " a step, " + count_text(m.tokens_per_s) + " tokens/s, MFU " + percent_text(m.mfu_causal) +
         " (causal) on " + cluster(s) + "\n";
}

std::string figures(const Scenario& s, const Metrics& m) {
  const std::string peak = count_text(s.machine.bf16_peak.per_second() / 1e12) + " TFLOPS (BF16, dense)";
  Table t("lll");
  t.row({"step time", duration_text(m.step_time_s)});
  t.row({"tokens/s", count_text(m.tokens_per_s)});
  t.row({"tokens/day", count_text(m.tokens_per_day)});
  t.row({"TFLOPS per GPU", significant(m.tflops_per_gpu_causal, 4), "causal"});
  t.row({"MFU, causal", percent_text(m.mfu_causal), "of " + peak});
  t.row({"MFU, non-causal", percent_text(m.mfu_noncausal), "of " + peak});
  t.row({"GPU-hours per 1e12 tokens", count_text(m.gpu_hours_per_trillion_tokens)});
  t.row({"exposed communication", duration_text(m.exposed_comm_s),
         share_of(m.exposed_comm_s, m.step_time_s) + " of the step, mean over ranks"});
  if (m.layer_pair_s > 0) t.row({"layer pair", duration_text(m.layer_pair_s), "F&B chunks of MoE stages, per layer"});
  t.row({"FLOPs per token", flops_text(m.flops_per_token), "causal, forward and backward"});
  t.row({"parameters", count_text(static_cast<double>(m.parameters.total)),
         count_text(static_cast<double>(m.parameters.active)) + " active; MTP " +
             count_text(static_cast<double>(m.parameters.mtp)) + " more"});
  t.row({"KV cache", count_text(m.kv_bytes_per_token) + " B", "per token"});
  return t.text();
}

std::string phases(const Metrics& m) {
  Table t("lrr");
  t.line("phases, mean over ranks");
  const auto row = [&](const char* name, double seconds) {
    t.row({name, duration_text(seconds), share_of(seconds, m.step_time_s)});
  };
  row("forward", m.phases.forward_s);
  row("backward", m.phases.backward_s);
  row("weight", m.phases.weight_s);
  row("overlapped F&B", m.phases.overlapped_s);
  row("bubble", m.phases.bubble_s);
  row("optimizer", m.phases.optimizer_s);
  return t.text();
}

std::string path(const Metrics& m) {
  constexpr std::size_t kTop = 8;
  Table t("lrrr");
  t.line("critical path, by kind of op");
  for (std::size_t i = 0; i < std::min(kTop, m.critical_path.size()); ++i) {
    const PathKind& k = m.critical_path[i];
    t.row({name(k.kind), duration_text(k.time_s), percent_text(k.share), std::to_string(k.count) + " ops"});
  }
  return t.text();
}

std::string provenance(const Metrics& m) {
  std::string line = "this step time is ";
  for (std::size_t p = 0; p < kProvenances; ++p)
    line += (p > 0 ? ", " : "") + percent_text(m.provenance[p]) + " " + name(static_cast<Provenance>(p));
  return line + " (by time on the critical path);\n" + percent_text(m.own_kernels) +
         " of it rests on rows of railcast's own kernels\n";
}

std::string joined(const std::vector<std::int64_t>& numbers) {
  std::string text;
  for (std::int64_t n : numbers) text += (text.empty() ? "" : ",") + std::to_string(n);
  return text;
}

std::string memory(const MemoryFigures& m, bool colour) {
  if (m.by_rank.empty()) return {};
  const std::string fits = m.fits() ? inked("fits", Ink::green, colour) : inked("does not fit", Ink::red, colour);
  Table t("rrrrrrrrrrr");
  t.line("memory per GPU: peak " + bytes_text(m.peak_bytes) + " of " + bytes_text(m.capacity_bytes) + ", " + fits);
  std::vector<std::string> head{"rank", "stages", "layers", "in flight"};
  for (const auto& [category, bytes] : categories(m.by_category)) head.push_back(category);
  head.push_back("peak");
  t.row(head);
  for (const RankFigures& r : m.by_rank) {
    std::vector<std::string> cells{std::to_string(r.memory.pp_rank), joined(r.memory.stages), std::to_string(r.layers),
                                   std::to_string(r.memory.in_flight)};
    for (const auto& [category, bytes] : categories(r.memory.peak)) cells.push_back(bytes_text(bytes));
    cells.push_back(bytes_text(r.memory.peak.total()));
    t.row(cells);
  }
  return t.text();
}

std::string expectations(const Scenario& s, const Metrics& m, bool colour) {
  if (s.expect.empty()) return {};
  Table t("lrrrrll");
  t.line("published figures");
  t.row({"metric", "forecast", "published", "error", "within", "", "source"});
  for (const Outcome& o : outcomes(s, m)) {
    const Expectation& e = o.expected;
    std::string verdict = o.met() ? inked("met", Ink::green, colour) : inked("missed", Ink::red, colour);
    if (!o.checked()) verdict = "compared";
    t.row({e.metric, metric_text(e.metric, o.forecast), metric_text(e.metric, e.value),
           (o.error >= 0.0005 ? "+" : "") + percent_text(o.error), o.checked() ? percent_text(e.within) : "", verdict,
           e.source});
  }
  return t.text();
}

std::string notes(const std::vector<std::string>& warnings, bool colour) {
  std::string text;
  for (const std::string& w : warnings) text += inked("warning:", Ink::red, colour) + " " + w + "\n";
  return text;
}

}  // namespace

std::string run_text(const Scenario& s, const Metrics& m, const std::vector<std::string>& warnings, bool colour) {
  std::string text = title(s, m, colour);
  for (const std::string& part : {figures(s, m), phases(m), path(m), memory(m.memory, colour), provenance(m),
                                  expectations(s, m, colour), notes(warnings, colour)})
    if (!part.empty()) text += "\n" + part;
  return text;
}

std::string schedules_text(const std::vector<ScheduleRow>& rows, bool colour) {
  Table t("lrrrrrll", 0, 60);
  t.row({"schedule", "step time", "bubble", "exposed comm", "peak memory", "in flight", "fits", "note"});
  for (const ScheduleRow& r : rows) {
    if (!r.metrics) {
      t.row({name(r.schedule), "-", "-", "-", "-", "-", inked("no", Ink::red, colour), r.reason});
      continue;
    }
    const Metrics& m = *r.metrics;
    std::int64_t in_flight = 0;
    for (const RankFigures& rank : m.memory.by_rank) in_flight = std::max(in_flight, rank.memory.in_flight);
    t.row({name(r.schedule), duration_text(m.step_time_s), duration_text(m.phases.bubble_s),
           duration_text(m.exposed_comm_s), bytes_text(m.memory.peak_bytes), std::to_string(in_flight),
           m.memory.fits() ? inked("yes", Ink::green, colour) : inked("no", Ink::red, colour), r.reason});
  }
  return t.text();
}

}  // namespace railcast
