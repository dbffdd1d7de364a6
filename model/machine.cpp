#include "model/machine.hpp"

#include <algorithm>
#include <cmath>

namespace railcast {
namespace {

// Rate at `sms` between the table's neighbours, straight in log-log; proportional to SMs below the first row.
double interpolated(const std::map<std::int64_t, ByteRate>& rates, double sms) {
  const auto above =
      std::find_if(rates.begin(), rates.end(), [&](const auto& r) { return static_cast<double>(r.first) >= sms; });
  if (above == rates.end()) return std::prev(rates.end())->second.per_second();
  const double x1 = static_cast<double>(above->first), y1 = above->second.per_second();
  if (above == rates.begin()) return y1 * sms / x1;
  const auto below = std::prev(above);
  const double x0 = static_cast<double>(below->first), y0 = below->second.per_second();
  return y0 * std::pow(y1 / y0, std::log(sms / x0) / std::log(x1 / x0));
}

}  // namespace

std::string impl_for(const Machine& m, const std::string& stem, Dtype d) {
  for (const std::string& key : {stem + "/" + name(d), stem}) {
    if (const auto found = m.impl.find(key); found != m.impl.end()) return found->second;
  }
  return "";
}

FabricSpec fabric_of(const Machine& m, std::int64_t nodes) {
  return {nodes, m.gpus_per_node, m.nvlink, m.nic, m.nvlink_latency, m.nic_latency, m.topology};
}

ByteRate memory_rate(const Machine& m, std::int64_t sms) {
  const double share = static_cast<double>(sms) / static_cast<double>(m.sms);
  if (m.copy_rate.empty()) return std::min(1.0, 4 * share) * m.hbm;
  const double there = interpolated(m.copy_rate, share * static_cast<double>(m.calibrated_on.sms));
  return ByteRate(there * (m.hbm / m.calibrated_on.hbm));
}

}  // namespace railcast
