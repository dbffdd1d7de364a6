#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"
#include "cli/load_machine.hpp"
#include "cli/load_scenario.hpp"
#include "cli/node_topology.hpp"
#include "cli/verbs.hpp"

namespace railcast {
namespace {

using nlohmann::ordered_json;

constexpr double kNvlinkReached = 336.0 / 450;  // h100/machine.json: NCCL's share of the peak

/// Machines whose GPU has this compute capability (CUDA's list of GPUs); H800, H200 and H20 are 9.0 too.
std::string machine_with(const NodeTopology& t, const std::string& file) {
  if (t.compute_capability == 90) return "h100";
  if (t.compute_capability == 100) return "b200";
  throw BadInput("--machine", "",
                 file +
                     (t.compute_capability == 0 ? " does not say which GPU it is"
                                                : " has GPUs of compute capability " +
                                                      std::to_string(t.compute_capability) + ", which no machine has") +
                     "; name the machine whose figures are nearest, such as --machine h100");
}

std::string rate_text(double bytes_per_second) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g GB/s", bytes_per_second / 1e9);
  return text;
}

/// The base machine's document with what the file says in its place.
class Imported {
 public:
  Imported(ordered_json machine, const std::string& base, std::string source)
      : json_(std::move(machine)), source_(std::move(source)) {
    if (!json_.contains("compute_from")) {
      set("compute_from", base, "the machine that this one was imported on");
      set("same_chip", true, "as above: taken to be the same GPU");
    }
    json_.erase("impl");
  }
  void set(const std::string& key, const ordered_json& value, const std::string& source) {
    json_[key] = {{"value", value}, {"source", source}};
  }
  /// A peak, and the same share of it reached as on the base machine.
  void rate(const std::string& key, double before, double reached, double now) {
    set(key, rate_text(now), source_);
    set(key + "_effective", rate_text(now * reached / before),
        "the base machine's share of the peak: " + json_[key + "_effective"]["source"].get<std::string>());
  }
  ordered_json& json() { return json_; }
  const std::string& source() const { return source_; }

 private:
  ordered_json json_;
  std::string source_;
};

void set_inside(Imported& to, const NodeTopology& t, const Machine& base, double link) {
  to.set("gpus_per_node", t.gpus, to.source());
  const std::string wiring = to.json().value("/fabric/source"_json_pointer, "");
  to.json()["fabric"]["source"] = to.source() + (wiring.empty() ? "" : "; between nodes: " + wiring);
  if (t.nvlinks > 0) {
    const double each = link > 0                      ? link
                        : t.compute_capability == 100 ? 50e9
                                                      : 25e9;  // NVIDIA datasheets: total / 18 / 2
    to.rate("nvlink", base.nvlink.per_second(), base.nvlink_effective.per_second(), double(t.nvlinks) * each);
    return;
  }
  if (link == 0 && t.pcie == 0)
    throw BadInput("--link", "",
                   "the GPUs have PCIe only, and the file does not say how fast; name the rate of a port");
  to.rate("nvlink", 1, kNvlinkReached, link > 0 ? link : t.pcie);
  to.json()["fabric"]["inside"] = "pcie";
}

void set_nics(Imported& to, const NodeTopology& t, const Machine& base, const std::string& file) {
  if (t.nics == 0) {
    to.set("max_nodes", 1, to.source() + ": no NIC");
    return;
  }
  if (t.nics < t.gpus && t.gpus % t.nics != 0)
    throw BadInput(file, "", std::to_string(t.nics) + " NICs do not divide " + std::to_string(t.gpus) + " GPUs");
  to.json()["fabric"]["gpus_per_nic"] = std::max<std::int64_t>(1, t.gpus / t.nics);
  const double each = t.nic > 0 ? t.nic : base.nic.per_second();
  const double per_gpu = t.nics > t.gpus ? double(t.nics) / double(t.gpus) : 1;  // several NICs of a GPU: one port
  if (t.nic > 0 || per_gpu > 1) to.rate("nic", base.nic.per_second(), base.nic_effective.per_second(), each * per_gpu);
}

double link_rate(const std::string& text) {
  if (text.empty()) return 0;
  try {
    return parse_quantity(text, Dimension::byte_rate);
  } catch (const std::invalid_argument& e) {
    throw BadInput("--link", "", e.what());
  }
}

}  // namespace

int import_topology(const ImportOptions& o) {
  const NodeTopology t = parse_topology(read_text(o.file, kMaxTopologyBytes), o.file);
  const double link = link_rate(o.link);
  const std::string name = o.machine.empty() ? machine_with(t, o.file) : o.machine;
  const Machine base = load_machine(name, scenarios_folder());
  Imported to(ordered_json::parse(read_text(base.path)), base.name, "imported from " + o.file);
  to.json()["name"] = o.name.empty() ? base.name + "-imported" : o.name;
  set_inside(to, t, base, link);
  set_nics(to, t, base, o.file);
  if (t.nic == 0 && t.nics > 0) std::cerr << "railcast: the NICs' speed is not in the file: " << base.name << "'s\n";
  for (const std::string& note : t.notes) std::cerr << "railcast: " << note << "\n";
  std::cout << to.json().dump(2) << "\n";
  return kForecast;
}

}  // namespace railcast
