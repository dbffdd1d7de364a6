#include "cli/load_machine.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "cli/json.hpp"
#include "cli/load_calibration.hpp"
#include "cli/load_exchange_kernels.hpp"
#include "cli/load_fabric.hpp"
#include "cli/load_nccl.hpp"
#include "cli/load_own_exchange.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> machine_names(const fs::path& machines) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(machines, error)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path machine_file(const std::string& name_or_path, const fs::path& machines) {
  const bool is_path = name_or_path.find('/') != std::string::npos || name_or_path.ends_with(".json");
  fs::path p = is_path ? fs::path(name_or_path) : machines / name_or_path;
  if (fs::is_directory(p)) p /= "machine.json";
  if (fs::exists(p)) return p;
  if (is_path) throw BadInput(name_or_path, "", "no such machine; expected a machine.json or its folder");
  const auto names = machine_names(machines);
  throw BadInput((machines / name_or_path / "machine.json").string(), "",
                 "no machine \"" + name_or_path + "\"; expected one of " + listed(names) + " or a path" +
                     did_you_mean(name_or_path, names));
}

/// Reads {"value": ..., "source": ...} members, keeping the sources; a scenario's changes go first.
class Sourced {
 public:
  Sourced(JsonObject& o, Machine& m, JsonObject* changes) : object_(o), machine_(m), changes_(changes) {}
  double quantity(const std::string& key, Dimension d) {
    return with(key, [d](JsonObject& o, const std::string& at) { return positive(o, at, d); });
  }
  ByteRate byte_rate(const std::string& key) { return ByteRate(quantity(key, Dimension::byte_rate)); }
  FlopRate flop_rate(const std::string& key) { return FlopRate(quantity(key, Dimension::flop_rate)); }
  Time time(const std::string& key) { return Time::seconds(quantity(key, Dimension::time)); }
  std::int64_t count(const std::string& key) {
    return with(key, [](JsonObject& o, const std::string& at) { return o.integer(at, 1, 1'000'000'000); });
  }
  std::string text(const std::string& key) {
    return with(key, [](JsonObject& o, const std::string& at) { return o.text(at); });
  }
  bool boolean(const std::string& key) {
    return with(key, [](JsonObject& o, const std::string& at) { return o.boolean(at); });
  }
  bool changed(const std::string& key) const { return changes_ != nullptr && changes_->has(key); }
  /// A peak and what kernels reach of it: the same share where only the peak is changed.
  void rates(const std::string& key, ByteRate& peak, ByteRate& effective) {
    peak = byte_rate(key), effective = byte_rate(key + "_effective");
    if (!changed(key) || changed(key + "_effective")) return;
    JsonObject member = object_.object(key);
    effective = peak / ByteRate(positive(member, "value", Dimension::byte_rate)) * effective;
  }

 private:
  static double positive(JsonObject& o, const std::string& key, Dimension d) {
    const double v = o.quantity(key, d);
    if (v <= 0) o.refuse(key, "is zero; expected a positive quantity");
    return v;
  }
  template <class Read>
  std::invoke_result_t<Read, JsonObject&, std::string> with(const std::string& key, Read read) {
    if (changed(key)) {
      object_.has(key);
      machine_.sources[key] = "set in " + changes_->file();
      return read(*changes_, key);
    }
    JsonObject member = object_.object(key);
    const auto value = read(member, "value");
    machine_.sources[key] = member.text("source");
    member.finish();
    return value;
  }
  JsonObject& object_;
  Machine& machine_;
  JsonObject* changes_;
};

void read_gpu(Sourced& s, Machine& m) {
  m.sms = s.count("sms");
  m.memory = Bytes(s.quantity("memory", Dimension::bytes));
  m.bf16_peak = s.flop_rate("bf16_peak");
  m.fp8_peak = s.flop_rate("fp8_peak");
  m.hbm = s.byte_rate("hbm");
  m.kernel_launch = s.time("kernel_launch");
}

void read_network(Sourced& s, Machine& m) {
  m.gpus_per_node = s.count("gpus_per_node");
  m.max_nodes = s.count("max_nodes");
  s.rates("nvlink", m.nvlink, m.nvlink_effective);
  s.rates("nic", m.nic, m.nic_effective);
  m.nvlink_latency = s.time("nvlink_latency");
  m.nic_latency = s.time("nic_latency");
}

void check_rates(const JsonObject& o, const Machine& m) {
  if (m.nvlink < m.nvlink_effective) o.refuse("nvlink_effective", "is above the peak \"nvlink\"; expected at most it");
  if (m.nic < m.nic_effective) o.refuse("nic_effective", "is above the peak \"nic\"; expected at most it");
}

// {"source": ..., "gemm": "DeepGEMM", "gemm/bf16": "cuBLASLt", ...}
void read_impl(JsonObject& o, Machine& m) {
  if (!o.has("impl")) return;
  JsonObject impl = o.object("impl");
  m.sources["impl"] = impl.text("source");
  for (const std::string& key : impl.keys()) {
    const std::string stem = key.substr(0, key.find('/'));
    if (key == "source") continue;
    if (!is_calibration_stem(stem)) {
      impl.refuse(key, "\"" + stem + "\" is no shape" + did_you_mean(stem, calibration_stems()));
    }
    m.impl[key] = impl.text(key);
  }
}

// {"source": ..., "wiring": "planes", ...}
void read_topology(JsonObject& o, Machine& m) {
  if (!o.has("fabric")) return;
  JsonObject fabric = o.object("fabric");
  m.sources["fabric"] = fabric.text("source");
  read_fabric(fabric, m);
}

// The folder that `railcast fit -o` wrote.
std::string fit_in(JsonObject& changes) {
  const std::string folder = changes.text("calibration");
  const fs::path file = fs::path(folder) / "fit.json";
  if (!fs::exists(file))
    changes.refuse("calibration", folder + " has no fit.json; write it with `railcast fit MEASURED -o " + folder + "`");
  return file.string();
}

Machine read_machine(const fs::path& file, JsonObject* changes = nullptr) {
  const auto json = read_json(file.string());
  JsonObject o(json, file.string());
  Machine m;
  m.path = file.string();
  m.name = o.text("name");
  Sourced s(o, m, changes);
  if (o.has("compute_from")) {
    m.compute_from = s.text("compute_from");
    m.same_chip = s.boolean("same_chip");
  }
  read_gpu(s, m);
  read_network(s, m);
  read_impl(o, m);
  read_topology(o, m);
  o.finish();
  if (changes != nullptr && changes->has("calibration")) m.fit = fit_in(*changes);
  if (changes != nullptr && changes->has("fabric"))
    changes->refuse("fabric", "stands beside \"machine\", not in it: --set fabric.oversubscription=2");
  if (changes != nullptr) changes->finish();
  for (const char* key : {"sms", "bf16_peak", "fp8_peak", "hbm"}) m.same_chip = m.same_chip && !s.changed(key);
  check_rates(o, m);
  return m;
}

void use_calibration(Machine& m, const Machine& measured) {
  const fs::path folder = fs::path(measured.path).parent_path() / "calibration";
  if (!fs::is_directory(folder)) return;
  m.calibration = folder.string();
  if (m.fit.empty() && fs::exists(folder / "fit.json")) m.fit = (folder / "fit.json").string();
  m.calibrated_on = measured.chip();
  m.copy_rate = load_copy_rate((folder / "copy.csv").string());
  m.repeat_spread = load_repeat_spread((folder / "repeat.csv").string());
  m.steady_ratio = load_steady_ratio((folder / "steady.csv").string());
  m.exchange = load_exchange_kernels((folder / "deepep.json").string());
  m.own_exchange = load_own_exchange((folder / "railcast_exchange.json").string());
  m.nccl = load_nccl((folder / "nccl.json").string());
  if (m.impl.empty()) m.impl = measured.impl;
}

// Beside the machine's own folder first, so that a user's set of machines stays together.
Machine compute_machine(const Machine& m, const fs::path& machines) {
  const fs::path beside = fs::path(m.path).parent_path().parent_path() / m.compute_from / "machine.json";
  try {
    return read_machine(fs::exists(beside) ? beside : machine_file(m.compute_from, machines));
  } catch (const BadInput& e) {
    throw BadInput(m.path, "/compute_from", e.what());
  }
}

}  // namespace

Machine load_machine(const std::string& name_or_path, const std::string& scenarios_dir, JsonObject* changes) {
  const fs::path machines = fs::path(scenarios_dir) / "machines";
  const fs::path file = machine_file(name_or_path, machines);
  Machine m = read_machine(file, changes);
  if (m.compute_from.empty()) {
    use_calibration(m, read_machine(file));
    return m;
  }
  const Machine measured = compute_machine(m, machines);
  if (!measured.compute_from.empty()) {
    throw BadInput(m.path, "/compute_from", "\"" + m.compute_from + "\" has itself a compute_from; name that machine");
  }
  use_calibration(m, measured);
  return m;
}

}  // namespace railcast
