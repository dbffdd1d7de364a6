#include "cli/load_calibration.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/csv.hpp"
#include "cli/json.hpp"
#include "cli/shape_cells.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kFacts{"device", "driver", "source", "date", "provenance"};

constexpr const char* kOtherTables[] = {"copy", "launch", "gemm_beside_copy", "steady", "repeat"};

}  // namespace

std::vector<std::string> calibration_stems() {
  std::vector<std::string> stems;
  for (const Shape& s : blank_shapes()) stems.emplace_back(stem(s));
  return stems;
}

bool is_calibration_stem(const std::string& of_stem) { return blank_shape(of_stem) != nullptr; }

std::vector<CalibrationRow> load_calibration_file(const std::string& path) {
  const std::string of_stem = fs::path(path).stem().string();
  if (!is_calibration_stem(of_stem)) {
    throw BadInput(path, "", "\"" + of_stem + "\" is no shape" + did_you_mean(of_stem, calibration_stems()));
  }
  CsvTable t(path, kFacts);
  auto columns = shape_columns(of_stem);
  columns.insert(columns.end(), {"sms", "method", "impl", "us"});
  t.expect_columns(columns);
  std::vector<CalibrationRow> rows;
  Keys keys;
  for (Cells cells; t.next(cells);) {
    keys.add(t, cells, {"us"});
    CalibrationRow row{shape_in(t, cells, of_stem), count_cell(t, cells, "sms"), "", cells.at("impl"), 0, ""};
    row.method = cell_of(t, cells, "method", {"cool", "sustained"});
    row.us = positive_cell(t, cells, "us");
    row.where = t.where() + " (" + t.fact("device") + ", " + t.fact("date") + ")";
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<CalibrationRow> load_calibration(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string of_stem = entry.path().stem().string();
    if (entry.path().extension() != ".csv") continue;
    if (std::find(std::begin(kOtherTables), std::end(kOtherTables), of_stem) != std::end(kOtherTables)) continue;
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<CalibrationRow> rows;
  for (const auto& path : paths) {
    for (auto& row : load_calibration_file(path)) rows.push_back(std::move(row));
  }
  return rows;
}

std::map<std::int64_t, ByteRate> load_copy_rate(const std::string& path) {
  std::map<std::int64_t, ByteRate> rates;
  if (!fs::exists(path)) return rates;
  CsvTable t(path, kFacts);
  t.expect_columns({"rows", "cols", "dtype", "sms", "method", "impl", "us"});
  Keys keys;
  for (Cells cells; t.next(cells);) {
    keys.add(t, cells, {"us"});
    const double elements = static_cast<double>(count_cell(t, cells, "rows") * count_cell(t, cells, "cols"));
    const double bytes = 2.0 * elements * bytes_per_element(dtype_cell(t, cells, kDtypes));
    ByteRate& best = rates[count_cell(t, cells, "sms")];
    best = std::max(best, ByteRate(bytes / (positive_cell(t, cells, "us") * 1e-6)));
  }
  return rates;
}

double load_steady_ratio(const std::string& path) {
  if (!fs::exists(path)) return 1;
  CsvTable t(path, kFacts);
  t.expect_columns({"m", "n", "k", "dtype", "impl", "sustained_us", "steady_us"});
  double log_ratio = 0, rows = 0;
  for (Cells c; t.next(c); ++rows)
    log_ratio += std::log(positive_cell(t, c, "steady_us") / positive_cell(t, c, "sustained_us"));
  return rows > 0 ? std::exp(log_ratio / rows) : 1;
}

double load_repeat_spread(const std::string& path) {
  if (!fs::exists(path)) return 0;
  CsvTable t(path, kFacts);
  t.expect_columns({"m", "n", "k", "dtype", "impl", "first_us", "second_us"});
  std::vector<double> apart;
  for (Cells c; t.next(c);)
    apart.push_back(std::abs(std::log(positive_cell(t, c, "first_us") / positive_cell(t, c, "second_us"))));
  std::sort(apart.begin(), apart.end());
  return apart.empty() ? 0 : apart[static_cast<std::size_t>(0.9 * static_cast<double>(apart.size() - 1))];
}

static std::vector<PairRow> measured_pairs(CsvTable& t) {
  t.expect_columns({"m", "n", "k", "gemm_sms", "copy_sms", "cluster", "gemm_alone_us", "gemm_beside_us",
                    "gemm_alone_tflops", "gemm_beside_tflops", "copy_alone_gbps", "copy_beside_gbps"});
  std::vector<PairRow> rows;
  for (Cells c; t.next(c);) {
    PairRow r{Gemm{count_cell(t, c, "m"), count_cell(t, c, "n"), count_cell(t, c, "k"), Dtype::fp8_block}, "railcast"};
    r.gemm_sms = count_cell(t, c, "gemm_sms"), r.copy_sms = count_cell(t, c, "copy_sms");
    r.copy_cluster = count_cell(t, c, "cluster");
    r.alone_us = positive_cell(t, c, "gemm_alone_us"), r.together_us = positive_cell(t, c, "gemm_beside_us");
    r.copy_alone_gb_s = positive_cell(t, c, "copy_alone_gbps");
    r.copy_together_gb_s = positive_cell(t, c, "copy_beside_gbps");
    rows.push_back(r);
  }
  return rows;
}

std::vector<PairRow> load_pairs(const std::string& path) {
  if (CsvTable own(path, {"device", "date"}); own.has("cluster")) return measured_pairs(own);
  CsvTable t(path, kFacts);
  t.expect_columns({"groups", "m", "n", "k", "gemm_sms", "copy_sms", "gemm_alone_us", "gemm_together_us",
                    "copy_alone_gb_per_s", "copy_together_gb_per_s"});
  std::vector<PairRow> rows;
  for (Cells c; t.next(c);) {
    PairRow r{{}, "DeepGEMM"};
    const GroupedGemm g{count_cell(t, c, "groups"), count_cell(t, c, "m"), count_cell(t, c, "n"), count_cell(t, c, "k"),
                        Dtype::fp8_block};
    r.gemm = g.groups == 1 ? Shape(Gemm{g.m, g.n, g.k, g.dtype}) : Shape(g);
    r.gemm_sms = count_cell(t, c, "gemm_sms");
    r.copy_sms = count_cell(t, c, "copy_sms");
    r.alone_us = positive_cell(t, c, "gemm_alone_us");
    r.together_us = positive_cell(t, c, "gemm_together_us");
    r.copy_alone_gb_s = positive_cell(t, c, "copy_alone_gb_per_s");
    r.copy_together_gb_s = positive_cell(t, c, "copy_together_gb_per_s");
    rows.push_back(r);
  }
  return rows;
}

}  // namespace railcast
