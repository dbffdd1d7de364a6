#include "cli/exchange.hpp"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cli/expected.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr std::size_t kShownLinks = 5;

void name_busiest(const Fabric& fabric, ExchangeForecast& f) {
  std::vector<LinkId> order(fabric.links());
  std::iota(order.begin(), order.end(), LinkId{0});
  const auto shown = static_cast<std::ptrdiff_t>(std::min(kShownLinks, order.size()));
  std::ranges::partial_sort(order, order.begin() + shown, [&](LinkId a, LinkId b) {
    return f.exchange.busy[a] != f.exchange.busy[b] ? f.exchange.busy[a] > f.exchange.busy[b] : a < b;
  });
  for (auto it = order.begin(); it != order.begin() + shown; ++it)
    f.links.push_back(fabric.name(*it)), f.busy.push_back(f.exchange.busy[*it]);
}

Figures figures(const ExchangeForecast& f) {
  return {{"makespan_s", f.makespan.seconds()}, {"port_bound_s", f.exchange.port_bound.seconds()}};
}

std::string job_note(const Job& j, const std::optional<Time>& one_op) {
  const bool whole =
      j.pattern == Pattern::all_gather || j.pattern == Pattern::reduce_scatter || j.pattern == Pattern::all_reduce;
  const std::string of = whole ? " in all" : j.pattern == Pattern::all_to_all ? " a pair" : " a message";
  return bytes_text(j.bytes) + of + (one_op ? "; as one op, alone, " + duration_text(one_op->seconds()) : "");
}

std::string text(const ExchangeScenario& s, const ExchangeForecast& f, bool colour) {
  std::string out = s.about.empty() ? "" : s.about + "\n";
  out += duration_text(f.makespan.seconds()) + " for " + std::to_string(f.messages) + " messages on " +
         std::to_string(s.gpus()) + " GPUs of " + s.machine.name + "\n\n";
  Table t("lrl");
  t.row({"makespan", duration_text(f.makespan.seconds()), "last byte in, latency included"});
  t.row({"port bound", duration_text(f.exchange.port_bound.seconds()), "bytes over rate of " + f.links.front()});
  for (std::size_t j = 0; j < s.jobs.size(); ++j)
    t.row({"job " + s.jobs[j].name, duration_text(f.job_end[j].seconds()), job_note(s.jobs[j], f.as_one_op[j])});
  for (std::size_t l = 0; l < f.links.size(); ++l) t.row({f.links[l], percent_text(f.busy[l]), "busy"});
  out += t.text();
  const std::string expected = expected_text(s.expect, figures(f), colour);
  return out + (expected.empty() ? "" : "\n" + expected);
}

}  // namespace

ExchangeForecast forecast(const ExchangeScenario& s) {
  ExchangeForecast f;
  try {
    const Fabric fabric(fabric_of(s.machine, s.nodes));
    std::vector<Message> all;
    std::vector<std::size_t> begin{0};
    for (const Job& j : s.jobs) {
      const auto messages = messages_of(j, as_seen(s.machine, j.library));
      all.insert(all.end(), messages.begin(), messages.end());
      begin.push_back(all.size());
    }
    f.exchange = deliver(fabric, all);
    f.messages = static_cast<std::int64_t>(all.size());
    for (std::size_t j = 0; j < s.jobs.size(); ++j) {
      const Machine m = as_seen(s.machine, s.jobs[j].library);
      f.job_end.push_back(end_of(s.jobs[j], m, fabric, f.exchange, all, begin[j], begin[j + 1]));
      f.makespan = std::max(f.makespan, f.job_end.back());
      const auto op = m.topology.non_blocking() ? as_one_op(s.jobs[j], m) : std::nullopt;
      f.as_one_op.push_back(op ? std::optional(op->total()) : std::nullopt);
    }
    name_busiest(fabric, f);
  } catch (const std::invalid_argument& e) {
    throw refused(s.path, e.what(), "/fabric");
  }
  return f;
}

std::string exchange_json(const ExchangeScenario& s, const ExchangeForecast& f) {
  nlohmann::ordered_json j;
  j["makespan_s"] = f.makespan.seconds();
  j["port_bound_s"] = f.exchange.port_bound.seconds();
  j["messages"] = f.messages;
  for (std::size_t i = 0; i < s.jobs.size(); ++i) {
    j["jobs"].push_back({{"name", s.jobs[i].name}, {"end_s", f.job_end[i].seconds()}});
    if (f.as_one_op[i]) j["jobs"].back()["as_one_op_s"] = f.as_one_op[i]->seconds();
  }
  for (std::size_t l = 0; l < f.links.size(); ++l) j["busiest"].push_back({{"link", f.links[l]}, {"busy", f.busy[l]}});
  j["expect"] = expected_json(s.expect, figures(f));
  return j.dump(2) + "\n";
}

int run_exchange(const RunOptions& o) {
  if (!o.trace.empty()) throw BadInput(o.trace, "", "an exchange has no trace; --trace is for training steps");
  const ExchangeScenario s = load_exchange(o.scenario, o.set);
  const ExchangeForecast f = forecast(s);
  check_expected(s.path, s.expect, figures(f));
  if (!write_json(o.json, exchange_json(s, f))) std::cout << text(s, f, use_colour());
  return kForecast;
}

}  // namespace railcast
