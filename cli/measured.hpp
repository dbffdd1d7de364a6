// Measured rows as tools write them, each recognised by its content, not by its name:
//   railcast-measure   <stem>.csv with "# device: ..." and p50_us; calibration tables (us) too
//   GEMM sweeps        m,n,k,latency_ms as NVIDIA's aiconfigurator collects them; any column must carry its unit
//   NCCL sweeps        nccl,op,dtype,num_gpus,message_elems,message_bytes,latency_ms (of the same project)
//   nccl-tests         -J JSON, and its printed table
//   Google Benchmark, nvbench   JSON, benchmarks named <stem>/field:value/.../method/impl, or with axes of these names
//   DeepEP             the lines its tests print
#pragma once
#include <string>
#include <vector>

#include "cli/csv.hpp"
#include "model/cost.hpp"

namespace railcast {

struct Measured {
  std::vector<CalibrationRow> rows;
  std::string device;                 ///< as the files say, or as it was given
  std::vector<std::string> left_out;  ///< files and rows of what has no Shape, and why
};

/// What a file that does not say is taken to be.
struct MeasuredDefaults {
  std::string device;             ///< "h100"; where set, a file of another device is refused
  std::int64_t sms = 132;         ///< of rows without a count
  std::string impl = "DeepGEMM";  ///< of a sweep without an impl column
  std::string dtype = "fp8_block";
};

/// One file. BadInput names file and line.
Measured load_measured_file(const std::string& path, const MeasuredDefaults& d);
/// A file, or all .csv, .json and .txt of a folder by name; rows that stand twice, or on two devices, are refused.
Measured load_measured(const std::string& path, const MeasuredDefaults& d);

/// Readers of a kind each; they append to `out`.
bool read_measured_csv(const std::string& path, const MeasuredDefaults& d, Measured& out);
bool read_measured_json(const std::string& path, const MeasuredDefaults& d, Measured& out);
bool read_measured_text(const std::string& path, const MeasuredDefaults& d, Measured& out);

/// Rows of a stem's table; every column of it that is no field, key or time is left aside.
void read_shapes(CsvTable& t, const std::string& stem, const MeasuredDefaults& d, Measured& out);

/// The collective that a tool's name stands for ("alltoall", "all_reduce_perf"); false where none does.
bool collective_named(const std::string& name, std::int64_t bytes, std::int64_t ranks, Shape& shape);
/// "device" of a file must be the one asked for; sets it where none was.
void agree_on_device(const std::string& where, const std::string& device, const MeasuredDefaults& d, Measured& out);

}  // namespace railcast
