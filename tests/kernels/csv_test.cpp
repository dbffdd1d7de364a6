#include "kernels/csv.hpp"

#include <fstream>
#include <iterator>

#include "tests/catch.hpp"

using namespace railcast::kernels;

namespace {

std::filesystem::path fresh(const char* name) {
  const auto path = std::filesystem::temp_directory_path() / "railcast_csv_test" / name;
  std::filesystem::remove(path);
  return path;
}

MeasuredRow row(const char* m, const char* time) { return {{{"m", m}, {"impl", "railcast"}}, {{"p50_us", time}}}; }

std::string text(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a measured file has comments, one header and its rows", "[kernels][csv]") {
  const auto path = fresh("write.csv");
  MeasuredFile file(path, {"device: test"});
  file.append(row("64", "9.5"));
  file.append(row("128", "10.1"));
  CHECK(text(path) == "# device: test\nm,impl,p50_us\n64,railcast,9.5\n128,railcast,10.1\n");
}

TEST_CASE("a run started again finds its rows, and measures a cut-off one again", "[kernels][csv]") {
  const auto path = fresh("resume.csv");
  MeasuredFile(path, {"first"}).append(row("64", "9.5"));
  std::ofstream(path, std::ios::app) << "128,rail";
  MeasuredFile again(path, {"second"});
  CHECK(again.has({{"m", "64"}, {"impl", "railcast"}}));
  CHECK_FALSE(again.has({{"m", "128"}, {"impl", "railcast"}}));
  CHECK_FALSE(again.has({{"m", "64"}, {"impl", "cublaslt_block"}}));
  again.append(row("128", "10.1"));
  CHECK(text(path).find("128,rail\n128,railcast,10.1\n") != std::string::npos);
}

TEST_CASE("rows of other columns are refused", "[kernels][csv]") {
  const auto path = fresh("columns.csv");
  MeasuredFile file(path, {});
  file.append(row("64", "9.5"));
  CHECK_THROWS(file.append({{{"n", "64"}}, {{"p50_us", "1"}}}));
}
