// What the simulator takes for our own kernels' times is what railcast-measure wrote.
#include <algorithm>
#include <fstream>

#include "kernels/csv.hpp"
#include "tests/catch.hpp"

using namespace railcast::kernels;
namespace fs = std::filesystem;

namespace {

using Cells = std::vector<std::string>;

/// The lines that are no comments, header first.
std::vector<Cells> table(const fs::path& path) {
  std::vector<Cells> rows;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);)
    if (!line.starts_with("#")) rows.push_back(split_csv(line));
  return rows;
}

std::size_t column(const std::vector<Cells>& rows, const std::string& name) {
  const auto found = std::find(rows.at(0).begin(), rows.at(0).end(), name);
  return static_cast<std::size_t>(found - rows.at(0).begin());
}

/// Where a calibration row's time was measured: its table's name, its impl there, and the leading cells of its key.
struct Origin {
  std::string stem, impl = "railcast";
  std::size_t key = 0;
};
Origin origin_of(const std::string& stem, const std::vector<Cells>& rows, const Cells& row) {
  const std::size_t dtype = column(rows, "dtype");
  if (stem == "quantize" && row[dtype] == "fp8_block") return {"requantize", "railcast", 2};
  return {stem, stem == "rope" ? "railcast_stride192" : "railcast", dtype};
}

bool measured(const fs::path& folder, const Origin& from, const Cells& row, const std::string& sms,
              const std::string& method, const std::string& us) {
  const std::vector<Cells> rows = table(folder / (from.stem + ".csv"));
  return std::any_of(rows.begin() + 1, rows.end(), [&](const Cells& r) {
    return std::equal(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(from.key), r.begin()) &&
           r[column(rows, "sms")] == sms && r[column(rows, "method")] == method &&
           r[column(rows, "impl")] == from.impl && r[column(rows, "p50_us")] == us;
  });
}

}  // namespace

TEST_CASE("every calibration row of our own kernels stands among the measured ones", "[kernels][measured]") {
  const fs::path root = RAILCAST_SOURCE_DIR, folder = root / "validate/measured/h100";
  std::size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(root / "scenarios/machines/h100/calibration")) {
    if (entry.path().extension() != ".csv") continue;
    const std::string stem = entry.path().stem().string();
    const std::vector<Cells> rows = table(entry.path());
    for (std::size_t i = 1; i < rows.size(); ++i) {
      const Cells& r = rows[i];
      if (column(rows, "impl") == r.size() || r[column(rows, "impl")] != "railcast") continue;
      INFO(stem << " row " << i);
      CHECK(measured(folder, origin_of(stem, rows, r), r, r[column(rows, "sms")], r[column(rows, "method")],
                     r[column(rows, "us")]));
      ++seen;
    }
  }
  CHECK(seen > 100);
}

TEST_CASE("groups have the rows that the peer's had", "[kernels][measured]") {
  const fs::path root = RAILCAST_SOURCE_DIR;
  for (const std::string stem : {"grouped_gemm_contiguous", "grouped_gemm_masked", "wgrad_grouped"}) {
    const std::vector<Cells> ours = table(root / "validate/measured/h100" / (stem + ".csv")),
                             theirs = table(root / "validate/peers/h100" / (stem + ".csv"));
    const auto key = static_cast<std::ptrdiff_t>(column(theirs, "impl"));
    for (std::size_t i = 1; i < theirs.size(); ++i) {
      INFO(stem << " row " << i);
      CHECK(std::any_of(ours.begin() + 1, ours.end(), [&](const Cells& r) {
        return std::equal(r.begin(), r.begin() + key, theirs[i].begin()) &&
               r[column(ours, "group_rows")] == theirs[i][column(theirs, "group_rows")];
      }));
    }
  }
}
