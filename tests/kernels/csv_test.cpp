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
  std::ofstream(path, std::ios::app) << "128,railcast,1";  // cut off inside its last number
  MeasuredFile again(path, {"second"});
  CHECK(again.has({{"m", "64"}, {"impl", "railcast"}}));
  CHECK_FALSE(again.has({{"m", "128"}, {"impl", "railcast"}}));
  CHECK_FALSE(again.has({{"m", "64"}, {"impl", "cublaslt_block"}}));
  again.append(row("128", "10.1"));
  CHECK(text(path) == "# first\nm,impl,p50_us\n64,railcast,9.5\n128,railcast,10.1\n");
}

TEST_CASE("rows that another commit adds say so, once", "[kernels][csv]") {
  const auto path = fresh("origin.csv");
  const auto from = [&](const char* commit, const char* date) {
    return MeasuredFile(path,
                        {"device: x", std::string("commit: ") + commit, std::string("date: ") + date, "by a test"});
  };
  from("a", "1").append(row("1", "1"));
  from("a", "2").append(row("2", "2"));  // as before
  MeasuredFile other = from("b", "3");
  other.append(row("3", "3")), other.append(row("4", "4"));
  from("b", "4").append(row("5", "5"));
  const std::string comments = "# device: x\n# commit: a\n# date: 1\n# by a test\n";
  const std::string note = "# row 3 and later: device: x, commit: b, date: 3\n";
  const std::string rows = "m,impl,p50_us\n1,railcast,1\n2,railcast,2\n3,railcast,3\n4,railcast,4\n5,railcast,5\n";
  CHECK(text(path) == comments + note + rows);
  from("a", "5").append(row("6", "6"));
  CHECK(text(path) == comments + note + "# row 6 and later: device: x, commit: a, date: 5\n" + rows + "6,railcast,6\n");
}

TEST_CASE("a file cut off in its header or comments begins anew", "[kernels][csv]") {
  for (const char* left : {"# dev", "# first\nm,im"}) {
    const auto path = fresh("header.csv");
    std::ofstream(path) << left;
    MeasuredFile(path, {"second"}).append(row("64", "9.5"));
    CHECK(text(path).find("# second\nm,impl,p50_us\n64,railcast,9.5\n") != std::string::npos);
    CHECK(text(path).find("m,im\n") == std::string::npos);
  }
}

TEST_CASE("a row's number is found by its key", "[kernels][csv]") {
  MeasuredFile file(fresh("number.csv"), {});
  file.append(row("64", "9.5"));
  CHECK(file.number({{"m", "64"}}, "p50_us") == 9.5);
  CHECK(file.number({{"m", "65"}}, "p50_us") == 0);
  CHECK(file.number({{"m", "64"}}, "p99_us") == 0);
}

TEST_CASE("a folder that takes no file, and a table of 10 GB, are refused before anything is measured",
          "[kernels][csv]") {
  const auto path = fresh("huge.csv");
  std::ofstream(path) << "m,impl,p50_us\n";
  CHECK_THROWS_WITH(require_writable(path),
                    path.string() + ": no file can be written there; --out names another folder");
  require_writable(path.parent_path() / "new");
  CHECK(std::filesystem::is_empty(path.parent_path() / "new"));
  std::filesystem::resize_file(path, std::uintmax_t{10} << 30);  // sparse
  CHECK_THROWS_WITH(MeasuredFile(path, {}),
                    path.string() + ": 10737418240 bytes are no measured table; move the file away");
  std::filesystem::remove(path);
}

TEST_CASE("rows of other columns are refused", "[kernels][csv]") {
  const auto path = fresh("columns.csv");
  MeasuredFile file(path, {});
  file.append(row("64", "9.5"));
  CHECK_THROWS(file.append({{{"n", "64"}}, {{"p50_us", "1"}}}));
}
