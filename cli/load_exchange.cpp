#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/exchange.hpp"
#include "cli/json.hpp"
#include "cli/load_scenario.hpp"

namespace railcast {
namespace {

const std::vector<std::string> kPatterns{"all_to_all", "all_to_all_v", "all_gather", "reduce_scatter",
                                         "all_reduce", "ring",         "send_recv"};  // in Pattern's order

template <class T>
std::vector<std::vector<T>> rows_of(JsonObject& o, const std::string& key, std::size_t columns, const char* expected) {
  std::vector<std::vector<T>> rows;
  const auto& list = o.raw(key);
  if (!list.is_array()) o.refuse(key, std::string("expected ") + expected);
  for (const auto& row : list) {
    auto& out = rows.emplace_back();
    const bool good = row.is_array() && row.size() == columns;
    for (std::size_t i = 0; good && i < columns; ++i)
      if (row[i].is_number() && row[i].template get<double>() >= 0) out.push_back(row[i].template get<T>());
    if (out.size() != columns)
      o.refuse(key,
               "row " + std::to_string(rows.size() - 1) + " is " + row.dump().substr(0, 60) + "; expected " + expected);
  }
  return rows;
}

void read_all_to_all_v(JsonObject& o, Job& j) {
  const auto n = static_cast<std::size_t>(j.gpus);
  j.counts = rows_of<double>(o, "counts", n, "a row per sender with a count, 0 or more, per receiver");
  if (j.counts.size() != n)
    o.refuse("counts", "has " + std::to_string(j.counts.size()) + " rows; expected one per GPU, " + std::to_string(n));
}

void read_send_recv(JsonObject& o, Job& j) {
  for (const auto& pair : rows_of<std::int64_t>(o, "pairs", 2, "pairs of GPUs [from, to], counted from first_gpu")) {
    if (pair[0] >= j.gpus || pair[1] >= j.gpus)
      o.refuse("pairs",
               "there is no GPU " + std::to_string(std::max(pair[0], pair[1])) + " among " + std::to_string(j.gpus));
    j.pairs.emplace_back(pair[0], pair[1]);
  }
}

void read_gpus(JsonObject& o, Job& j, std::int64_t gpus) {
  if (o.has("first_gpu")) j.first_gpu = o.integer("first_gpu", 0, gpus - 1);
  j.gpus = o.has("gpus") ? o.integer("gpus", 1) : gpus - j.first_gpu;
  if (j.first_gpu + j.gpus > gpus)
    o.refuse("gpus", "GPUs " + std::to_string(j.first_gpu) + " to " + std::to_string(j.first_gpu + j.gpus - 1) +
                         "; the nodes have " + std::to_string(gpus));
  if (j.pattern == Pattern::all_to_all && j.gpus > 4096)
    o.refuse("gpus", std::to_string(j.gpus) + "; an all-to-all is simulated message by message up to 4096 GPUs");
}

Job read_job(JsonObject& o, std::int64_t gpus) {
  Job j;
  const std::string pattern = o.one_of("pattern", kPatterns);
  j.pattern = static_cast<Pattern>(std::ranges::find(kPatterns, pattern) - kPatterns.begin());
  j.name = o.has("name") ? o.text("name") : pattern;
  read_gpus(o, j, gpus);
  j.bytes = o.quantity("bytes", Dimension::bytes);
  if (j.pattern == Pattern::all_to_all && o.has("sigma")) j.sigma = o.number("sigma");
  if (!(j.sigma >= 0 && j.sigma <= 5)) o.refuse("sigma", "expected the spread of ln(bytes), from 0 to 5");
  if (j.pattern == Pattern::all_to_all && o.has("seed")) j.seed = o.integer("seed");
  if (j.pattern == Pattern::all_to_all_v) read_all_to_all_v(o, j);
  if (j.pattern == Pattern::send_recv) read_send_recv(o, j);
  if (j.pattern == Pattern::all_reduce && o.has("algorithm"))
    j.algorithm = o.one_of("algorithm", {"ring", "tree"}) == "tree" ? Algorithm::tree : Algorithm::ring;
  if (o.has("library")) j.library = o.one_of("library", {"none", "nccl"}) == "nccl" ? Library::nccl : Library::bare;
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
  s.machine = scenario_machine(o);
  s.nodes = o.integer("nodes", 1, 1 << 20);
  if (s.gpus() > 1 << 20) o.refuse("nodes", "more than 1048576 GPUs");
  check_fabric(path, s.machine, s.nodes);
  JsonObject workload = o.object("workload"), exchange = workload.object("exchange");
  for (JsonObject& job : exchange.objects("jobs")) s.jobs.push_back(read_job(job, s.gpus()));
  if (s.jobs.empty()) exchange.refuse("jobs", "expected one job at least");
  exchange.finish(), workload.finish();
  s.expect = scenario_expectations(o);
  o.finish();
  return s;
}

}  // namespace railcast
