#include "cli/load_nccl.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"

namespace railcast {

Nccl load_nccl(const std::string& path) {
  Nccl n;
  if (!std::filesystem::exists(path)) return n;
  const auto document = read_json(path);
  JsonObject o(document, path);
  const auto time = [&](const char* key) { return Time::seconds(o.quantity(key, Dimension::time)); };
  const auto rate = [&](const char* key) { return ByteRate(o.quantity(key, Dimension::byte_rate)); };
  const auto ratio = [&](const char* key) {
    const double v = o.number(key);
    if (v <= 0) o.refuse(key, "expected a positive ratio");
    return v;
  };
  o.text("source");
  n.source = path;
  n.start = time("start"), n.hop = time("hop"), n.low_latency = rate("low_latency"), n.simple = time("simple");
  n.few = ratio("few"), n.in_switch = ratio("in_switch"), n.in_switch_start = time("in_switch_start");
  n.peer_start = time("peer_start"), n.per_peer = time("per_peer");
  n.peer_low_latency = rate("peer_low_latency"), n.peer_simple = time("peer_simple");
  for (const char* key : {"low_latency", "peer_low_latency"})
    if (o.quantity(key, Dimension::byte_rate) <= 0) o.refuse(key, "is zero; expected a positive rate");
  o.finish();
  return n;
}

}  // namespace railcast
