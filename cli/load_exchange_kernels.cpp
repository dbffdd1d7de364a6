#include "cli/load_exchange_kernels.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"

namespace railcast {
namespace {

double sourced(JsonObject& o, const char* key, Dimension d) {
  JsonObject member = o.object(key);
  const double v = member.quantity("value", d);
  if (v <= 0) member.refuse("value", "is zero; expected a positive quantity");
  member.text("source");
  member.finish();
  return v;
}

double share(JsonObject& o, const char* key) {
  const double v = sourced(o, key, Dimension::fraction);
  if (v > 1) o.refuse(key, "is above 100 %; a port does not go beyond its peak");
  return v;
}

// DeepEP's test router: its groups are the nodes, of which a token may go to four.
void test_router(Dispatch& d) {
  d.groups = std::max<std::int64_t>(1, d.ranks / 8);
  d.top_groups = std::min<std::int64_t>(4, d.groups);
}

PublishedExchange read_row(JsonObject& o) {
  PublishedExchange p;
  p.id = o.text("id"), p.source = o.text("source"), p.machine = o.text("machine");
  p.low_latency = o.one_of("mode", {"normal", "low_latency"}) == "low_latency";
  p.combine = o.one_of("op", {"dispatch", "combine"}) == "combine";
  p.for_fit = o.one_of("use", {"fit", "held_out"}) == "fit";
  p.shape.tokens = o.integer("tokens", 1), p.shape.hidden = o.integer("hidden", 1);
  p.shape.experts = o.integer("experts", 1), p.shape.top_k = o.integer("top_k", 1);
  p.shape.ranks = o.integer("ranks", 1);
  p.shape.dtype = o.one_of("dtype", {"fp8", "bf16"}) == "fp8" ? Dtype::fp8_block : Dtype::bf16;
  if (!p.low_latency) test_router(p.shape), p.sms = o.integer("sms", 2);
  if (o.has("kernels")) p.zero_copy = o.one_of("kernels", {"v1", "v2"}) == "v2";
  if (o.has("nvlink")) p.nvlink = o.boolean("nvlink");
  p.is_rate = o.has("bandwidth");
  p.value = p.is_rate ? o.quantity("bandwidth", Dimension::byte_rate) : o.quantity("time", Dimension::time);
  o.finish();
  return p;
}

}  // namespace

ExchangeKernels load_exchange_kernels(const std::string& path) {
  ExchangeKernels k;
  if (!std::filesystem::exists(path)) return k;
  const auto document = read_json(path);
  JsonObject o(document, path);
  const auto time = [&](const char* key) { return Time::seconds(sourced(o, key, Dimension::time)); };
  k.source = path;
  k.nvlink_share = share(o, "nvlink_share"), k.nic_share = share(o, "nic_share");
  k.row = time("row"), k.publish = time("publish"), k.message = time("message"), k.start = time("start");
  k.warp = ByteRate(sourced(o, "warp", Dimension::byte_rate));
  k.layout = time("layout"), k.notify = time("notify");
  o.finish();
  return k;
}

std::vector<PublishedExchange> load_published_exchanges(const std::string& path) {
  const auto document = read_json(path);
  JsonObject o(document, path);
  o.text("source");
  std::vector<PublishedExchange> rows;
  for (JsonObject& row : o.objects("rows")) rows.push_back(read_row(row));
  o.finish();
  return rows;
}

}  // namespace railcast
