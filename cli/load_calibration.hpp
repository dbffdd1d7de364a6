// Calibration tables: one strict CSV per shape, <stem>.csv.
//
//   # device: NVIDIA H100 80GB HBM3      each of device, driver, source, date and provenance stands once
//   # driver: 580.159.04
//   # source: ...
//   # date: 2026-11-23
//   # provenance: measured
//   m,n,k,dtype,sms,method,impl,us       the Shape's fields in order, then these five; dtype stands once
//   4096,7168,2048,fp8_block,132,sustained,DeepGEMM,104.178
//
// method is cool (one launch on a cool card) or sustained (back to back, warm: what a step sees). Flags are 0 or 1.
// A shape without a dtype of its own says bf16 (adamw and gate: fp32).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

/// Stems that a table may have.
std::vector<std::string> calibration_stems();
bool is_calibration_stem(const std::string& stem);

/// The rows of one file, whose name is its shape's stem. BadInput names file and line.
std::vector<CalibrationRow> load_calibration_file(const std::string& path);

/// All <stem>.csv of a folder, by file name. Tables that are no shape (copy, launch, gemm_beside_copy) are left to
/// their own readers; a file of any other name is refused.
std::vector<CalibrationRow> load_calibration(const std::string& folder);

/// copy.csv (rows,cols,dtype,sms,method,impl,us): bytes read + written per second, by SM count, best impl.
/// Empty where the file does not exist.
std::map<std::int64_t, ByteRate> load_copy_rate(const std::string& path);

/// steady.csv: how much longer a GEMM at the power cap takes after seconds than in a sustained row (geometric mean); 1
/// where the file does not exist.
double load_steady_ratio(const std::string& path);

/// repeat.csv: one GEMM in two runs; the 90th percentile of |ln(first / second)|, 0 where the file does not exist.
double load_repeat_spread(const std::string& path);

/// gemm_beside_copy.csv: a GEMM and a copy that own disjoint SMs, alone and together (launched as 2-CTA clusters), as a
/// calibration's table or, of our own kernels and with the copy's cluster size, as railcast-measure writes it.
struct PairRow {
  Shape gemm;
  std::string impl;
  std::int64_t gemm_sms = 0, copy_sms = 0, copy_cluster = 2;
  double alone_us = 0, together_us = 0;                ///< of the GEMM
  double copy_alone_gb_s = 0, copy_together_gb_s = 0;  ///< read + write
};
std::vector<PairRow> load_pairs(const std::string& path);

}  // namespace railcast
