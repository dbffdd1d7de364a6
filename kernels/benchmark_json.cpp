#include "kernels/benchmark_json.hpp"

#include <fstream>
#include <stdexcept>

namespace railcast::kernels {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return out + "\"";
}

void write_row(std::ostream& out, const BenchmarkRow& row) {
  out << "    {\"name\": " << quoted(row.name) << ", \"run_name\": " << quoted(row.name)
      << R"(, "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": 1, "iterations": )"
      << row.iterations << ", \"real_time\": " << row.us << ", \"cpu_time\": " << row.us << R"(, "time_unit": "us")";
  for (const auto& [counter, value] : row.counters) out << ", " << quoted(counter) << ": " << value;
  out << "}";
}

}  // namespace

std::string benchmark_name(const std::string& stem, const Fields& key) {
  std::string name = stem;
  for (const auto& [field, value] : key)
    name += field == "method" || field == "impl" ? "/" + value : "/" + field + ":" + value;
  return name;
}

void write_benchmark_json(const std::string& path, const std::string& host, const std::string& date,
                          const std::vector<BenchmarkRow>& rows) {
  std::ofstream out(path);
  out.precision(9);
  out << "{\n  \"context\": {\"date\": " << quoted(date) << ", \"host_name\": " << quoted(host)
      << R"(, "executable": "railcast-measure", "num_cpus": 1, "mhz_per_cpu": 0, "cpu_scaling_enabled": false, )"
      << R"("caches": [], "load_avg": [], "library_build_type": "release"},)"
      << "\n  \"benchmarks\": [\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    write_row(out, rows[i]);
    out << (i + 1 < rows.size() ? ",\n" : "\n");
  }
  out << "  ]\n}" << std::endl;
  if (!out) throw std::runtime_error(path + ": cannot be written; is the folder there and writable?");
}

}  // namespace railcast::kernels
