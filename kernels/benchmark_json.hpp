// Timed rows as Google Benchmark's --benchmark_format=json writes them, for tools that read that.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/csv.hpp"

namespace railcast::kernels {

struct BenchmarkRow {
  std::string name;
  int iterations = 0;
  double us = 0;
  std::vector<std::pair<std::string, double>> counters;  ///< what else is known of it
};

/// "gemm/m:4096/n:7168/k:2048/dtype:fp8_block/.../sms:132/cool/railcast" from the key of a row; `railcast fit` reads
/// it.
std::string benchmark_name(const std::string& stem, const Fields& key);

/// Throws where the file cannot be written.
void write_benchmark_json(const std::string& path, const std::string& host, const std::string& date,
                          const std::vector<BenchmarkRow>& rows);

}  // namespace railcast::kernels
