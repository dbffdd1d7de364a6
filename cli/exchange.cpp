#include "cli/exchange.hpp"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "reports/format.hpp"
#include "reports/table.hpp"

namespace railcast {
namespace {

constexpr std::size_t kShownLinks = 5;

std::vector<Message> messages_of(const ExchangeJob& j) {
  auto messages =
      skewed_all_to_all(j.pattern == "all_to_all" ? j.gpus : 0, j.bytes, j.sigma, static_cast<std::uint64_t>(j.seed));
  if (j.pattern == "ring") {
    std::vector<std::int64_t> ranks(static_cast<std::size_t>(j.gpus));
    std::iota(ranks.begin(), ranks.end(), 0);
    messages = ring(ranks, j.bytes);
  }
  const auto first = static_cast<std::uint32_t>(j.first_gpu);
  for (Message& m : messages) m.from += first, m.to += first;
  return messages;
}

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

double value_of(const ExchangeScenario& s, const ExchangeForecast& f, const Expectation& e) {
  if (e.metric == "makespan_s") return f.exchange.makespan.seconds();
  if (e.metric == "port_bound_s") return f.exchange.port_bound.seconds();
  throw BadInput(s.path, "/expect", "\"" + e.metric + "\" is no metric of an exchange; use makespan_s or port_bound_s");
}

std::string text(const ExchangeScenario& s, const ExchangeForecast& f) {
  std::string out = s.about.empty() ? "" : s.about + "\n";
  out += duration_text(f.exchange.makespan.seconds()) + " for " + std::to_string(f.messages) + " messages on " +
         std::to_string(s.fabric.nodes * s.fabric.gpus_per_node) + " GPUs of " + s.machine + "\n\n";
  Table t("lrl");
  t.row({"makespan", duration_text(f.exchange.makespan.seconds()), "last byte in, latency included"});
  t.row({"port bound", duration_text(f.exchange.port_bound.seconds()), "bytes over rate of " + f.links.front()});
  for (std::size_t j = 0; j < s.jobs.size(); ++j)
    t.row({"job " + s.jobs[j].name, duration_text(f.job_end[j].seconds()), bytes_text(s.jobs[j].bytes) + " a pair"});
  for (std::size_t l = 0; l < f.links.size(); ++l) t.row({f.links[l], percent_text(f.busy[l]), "busy"});
  out += t.text();
  if (!s.expect.empty()) out += "\nexpected figures\n";
  Table expected("lrrrl");
  for (const Expectation& e : s.expect) {
    const double forecast = value_of(s, f, e), error = forecast / e.value - 1;
    expected.row({e.metric, duration_text(forecast), duration_text(e.value), percent_text(error),
                  (std::abs(error) <= e.within ? "met  " : "missed  ") + e.source});
  }
  return out + expected.text();
}

}  // namespace

ExchangeForecast forecast(const ExchangeScenario& s) {
  ExchangeForecast f;
  try {
    const Fabric fabric(s.fabric);
    std::vector<Message> all;
    std::vector<std::size_t> ends;
    for (const ExchangeJob& j : s.jobs) {
      const auto messages = messages_of(j);
      all.insert(all.end(), messages.begin(), messages.end());
      ends.push_back(all.size());
    }
    f.exchange = deliver(fabric, all);
    f.messages = static_cast<std::int64_t>(all.size());
    std::size_t from = 0;
    for (std::size_t end : ends) {
      Time last;
      for (; from < end; ++from) last = std::max(last, f.exchange.end[from]);
      f.job_end.push_back(last);
    }
    name_busiest(fabric, f);
  } catch (const std::invalid_argument& e) {
    throw refused(s.path, e.what(), "/fabric");
  }
  return f;
}

std::string exchange_json(const ExchangeScenario& s, const ExchangeForecast& f) {
  nlohmann::ordered_json j;
  j["makespan_s"] = f.exchange.makespan.seconds();
  j["port_bound_s"] = f.exchange.port_bound.seconds();
  j["messages"] = f.messages;
  for (std::size_t i = 0; i < s.jobs.size(); ++i)
    j["jobs"].push_back({{"name", s.jobs[i].name}, {"end_s", f.job_end[i].seconds()}});
  for (std::size_t l = 0; l < f.links.size(); ++l) j["busiest"].push_back({{"link", f.links[l]}, {"busy", f.busy[l]}});
  return j.dump(2) + "\n";
}

int run_exchange(const RunOptions& o) {
  if (!o.trace.empty()) throw BadInput(o.trace, "", "an exchange has no trace; --trace is for training steps");
  const ExchangeScenario s = load_exchange(o.scenario, o.set);
  const ExchangeForecast f = forecast(s);
  if (!write_json(o.json, exchange_json(s, f))) std::cout << text(s, f);
  return kForecast;
}

}  // namespace railcast
