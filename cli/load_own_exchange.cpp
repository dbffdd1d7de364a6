#include "cli/load_own_exchange.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/csv.hpp"
#include "cli/json.hpp"

namespace railcast {
namespace {

double share(JsonObject& o, const char* key) {
  const double v = o.quantity(key, Dimension::fraction);
  if (v <= 0 || v > 1.5) o.refuse(key, "expected a share above 0 and up to 150 %");
  return v;
}

OwnKernel read_kernel(JsonObject o, bool low_latency) {
  OwnKernel k;
  k.start = Time::seconds(o.quantity("start", Dimension::time));
  k.peer = Time::seconds(o.quantity("peer", Dimension::time));
  if (!low_latency) {
    k.local_sm = ByteRate(o.quantity("local_sm", Dimension::byte_rate));
    k.remote_sm = ByteRate(o.quantity("remote_sm", Dimension::byte_rate));
  }
  k.nvlink_share = share(o, "nvlink_share"), k.memory_share = share(o, "memory_share");
  o.finish();
  return k;
}

/// Experts of our benches, by choice of which tokens go where.
constexpr std::int64_t kExperts = 256;

OwnRow read_row(const CsvTable& t, const Cells& cells, bool combine, bool low_latency) {
  OwnRow r;
  OwnExchange& e = r.exchange;
  e.combine = combine, e.low_latency = low_latency;
  e.shape = {count_cell(t, cells, "tokens"), count_cell(t, cells, "cols"), kExperts, count_cell(t, cells, "top_k"),
             count_cell(t, cells, "ranks")};
  e.shape.dtype = combine ? Dtype::bf16 : Dtype::fp8_block;
  e.gpus = t.has("gpus") ? count_cell(t, cells, "gpus") : 1;
  e.sms = low_latency ? 0 : count_cell(t, cells, "sms");
  r.us = positive_cell(t, cells, "p50_us"), r.where = t.where();
  return r;
}

bool usual_chunk(const CsvTable& t, const Cells& cells, bool combine) {
  return !t.has("chunk") || count_cell(t, cells, "chunk", 0) >= (combine ? 14336 : 128);
}

void read_table(const std::string& path, bool combine, bool low_latency, std::vector<OwnRow>& rows) {
  CsvTable t(path, {"device"});
  for (Cells cells; t.next(cells);) {
    if (cells.at("impl") != "railcast" || (t.has("method") && cells.at("method") != "sustained")) continue;
    if (t.has("kernel") && cells.at("kernel") != (combine ? "combine" : "dispatch")) continue;
    if (!usual_chunk(t, cells, combine)) continue;
    const OwnRow row = read_row(t, cells, combine, low_latency);
    const auto same = std::ranges::find_if(rows, [&](const OwnRow& r) { return describe(r) == describe(row); });
    if (same == rows.end()) {
      rows.push_back(row);
    } else if (row.us < same->us) {
      *same = row;
    }
  }
}

}  // namespace

OwnExchangeKernels load_own_exchange(const std::string& path) {
  OwnExchangeKernels k;
  if (!std::filesystem::exists(path)) return k;
  const auto document = read_json(path);
  JsonObject o(document, path);
  o.text("source"), k.source = path;
  k.dispatch = read_kernel(o.object("dispatch"), false), k.combine = read_kernel(o.object("combine"), false);
  k.low_latency_dispatch = read_kernel(o.object("low_latency_dispatch"), true);
  k.low_latency_combine = read_kernel(o.object("low_latency_combine"), true);
  o.finish();
  return k;
}

std::vector<OwnRow> load_own_rows(const std::string& measured) {
  std::vector<OwnRow> rows;
  for (const bool combine : {false, true}) {
    const std::string stem = combine ? "combine" : "dispatch";
    read_table(measured + "/h100/" + stem + ".csv", combine, false, rows);
    read_table(measured + "/h100x2/exchange_peers.csv", combine, false, rows);
    read_table(measured + "/h100/" + stem + "_low_latency.csv", combine, true, rows);
    read_table(measured + "/h100x2/low_latency_peers.csv", combine, true, rows);
  }
  return rows;
}

}  // namespace railcast
