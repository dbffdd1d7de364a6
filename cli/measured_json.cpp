#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/json.hpp"
#include "cli/measured.hpp"
#include "cli/shape_cells.hpp"

namespace railcast {
namespace {

using nlohmann::json;
using Fields = std::map<std::string, std::string>;

std::string text_of(const json& j) { return j.is_string() ? j.get<std::string>() : j.dump(); }

/// Rows by stem, as tables: what is left is the CSV reader's.
class Tables {
 public:
  Tables(std::string path, const MeasuredDefaults& d) : path_(std::move(path)), defaults_(d) {}
  void add(const std::string& stem, Fields f, double us) {
    f.try_emplace("dtype", defaults_.dtype), f.try_emplace("method", "sustained");
    f.try_emplace("impl", defaults_.impl), f.try_emplace("sms", std::to_string(defaults_.sms));
    std::ostringstream time;
    time.precision(12);
    time << us;
    f["us"] = time.str();
    std::string& text = text_[stem];
    std::string head, row;
    for (const auto& [key, value] : f) head += (head.empty() ? "" : ",") + key, row += (row.empty() ? "" : ",") + value;
    if (text.empty()) text = head + "\n";
    if (text.substr(0, text.find('\n')) != head)
      throw BadInput(path_, "", "the benchmarks of " + stem + " differ in their fields: " + head);
    text += row + "\n";
  }
  void read(Measured& out) const {
    for (const auto& [stem, text] : text_) {
      CsvTable t(path_, text, {});
      read_shapes(t, stem, defaults_, out);
    }
  }

 private:
  std::string path_;
  const MeasuredDefaults& defaults_;
  std::map<std::string, std::string> text_;
};

/// "gemm/m:4096/n:7168/k:2048/sustained/railcast"
bool parse_name(const std::string& name, std::string& stem, Fields& fields) {
  std::istringstream parts(name);
  std::getline(parts, stem, '/');
  for (std::string part; std::getline(parts, part, '/');) {
    const auto colon = part.find(':');
    if (colon != std::string::npos)
      fields[part.substr(0, colon)] = part.substr(colon + 1);
    else if (part == "cool" || part == "sustained")
      fields["method"] = part;
    else
      fields["impl"] = part;
  }
  return blank_shape(stem) != nullptr;
}

double microseconds(const json& benchmark, const std::string& path) {
  const std::string unit = benchmark.value("time_unit", "");
  const double us = unit == "ns" ? 1e-3 : unit == "us" ? 1 : unit == "ms" ? 1e3 : unit == "s" ? 1e6 : 0;
  if (us == 0) throw BadInput(path, "/benchmarks", "time_unit is \"" + unit + "\"; expected ns, us, ms or s");
  return benchmark.at("real_time").get<double>() * us;
}

void google_benchmark(const json& j, Tables& tables, const std::string& path, Measured& out) {
  for (const json& b : j.at("benchmarks")) {
    std::string stem;
    Fields fields;
    const std::string name = text_of(b.at("name"));
    if (parse_name(name, stem, fields))
      tables.add(stem, std::move(fields), microseconds(b, path));
    else
      out.left_out.push_back(path + ": " + name + " names no shape");
  }
}

/// Seconds of a state's GPU time: the mean of its cold runs.
double gpu_seconds(const json& state) {
  for (const json& summary : state.at("summaries"))
    if (summary.value("tag", "") == "nv/cold/time/gpu/mean")
      for (const json& d : summary.at("data"))
        if (d.value("name", "") == "value") return std::stod(text_of(d.at("value")));
  return 0;
}

void nvbench(const json& j, Tables& tables, const std::string& path, Measured& out) {
  for (const json& b : j.at("benchmarks")) {
    const std::string stem = text_of(b.at("name"));
    if (blank_shape(stem) == nullptr) {
      out.left_out.push_back(path + ": " + stem + " names no shape");
      continue;
    }
    for (const json& state : b.at("states")) {
      if (state.value("is_skipped", false)) continue;
      Fields fields{{"method", "cool"}};
      for (const json& axis : state.at("axis_values")) fields[text_of(axis.at("name"))] = text_of(axis.at("value"));
      tables.add(stem, std::move(fields), gpu_seconds(state) * 1e6);
    }
  }
}

void nccl_tests(const json& j, const std::string& path, const MeasuredDefaults& d, Measured& out) {
  const auto code = j.at("nccl_version").get<int>();
  const std::string version =
      std::to_string(code / 10000) + "." + std::to_string(code / 100 % 100) + "." + std::to_string(code % 100);
  const json& config = j.at("config");
  const auto ranks =
      std::max<std::int64_t>(static_cast<std::int64_t>(config.at("devices").size()),
                             config.at("nthreads").get<std::int64_t>() * config.at("ngpus").get<std::int64_t>());
  agree_on_device(path, text_of(config.at("devices").at(0).at("device_info")), d, out);
  std::size_t row = 0;
  for (const json& r : j.at("results")) {
    const std::string where = path + "#/results/" + std::to_string(row++);
    if (r.at("out_of_place").is_null()) continue;
    CalibrationRow c;
    const json& time = r.at("out_of_place").at("time");
    c.us = time.is_number() ? time.get<double>() : NAN;
    if (!(c.us > 0)) throw BadInput(where, "", "the time is " + time.dump() + "; expected microseconds above 0");
    if (r.at("size").get<std::int64_t>() == 0) continue;
    if (!collective_named(text_of(j.at("args").at(0)), r.at("size").get<std::int64_t>(), ranks, c.shape))
      throw BadInput(path, "/args/0", text_of(j.at("args").at(0)) + " is none of the collectives known here");
    c.sms = d.sms, c.method = "sustained", c.where = where;
    c.impl = "NCCL " + version + " " + text_of(r.at("type"));
    out.rows.push_back(std::move(c));
  }
}

}  // namespace

bool read_measured_json(const std::string& path, const MeasuredDefaults& d, Measured& out) {
  const json j = read_json(path);
  try {
    if (j.contains("nccl_version")) return nccl_tests(j, path, d, out), true;
    if (!j.contains("benchmarks")) return false;
    Tables tables(path, d);
    const bool nv = j.contains("devices");
    agree_on_device(
        path,
        nv ? text_of(j.at("devices").at(0).at("name")) : j.value("context", json::object()).value("host_name", ""), d,
        out);
    if (nv)
      nvbench(j, tables, path, out);
    else
      google_benchmark(j, tables, path, out);
    tables.read(out);
    return true;
  } catch (const json::exception& e) {
    throw BadInput(path, "", std::string("is not what nccl-tests, nvbench or Google Benchmark write: ") + e.what());
  }
}

}  // namespace railcast
