#include "reports/file.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "model/scenario.hpp"
#include "tests/catch.hpp"
#include "tests/cli/scratch.hpp"

using namespace railcast;
namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

long files_in(const std::string& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

}  // namespace

TEST_CASE("a file is written whole, over an old one too", "[reports][file]") {
  const Scratch scratch;
  const std::string path = scratch.path() + "/out.json";
  write_file(path, [](std::ostream& out) { out << "one"; });
  write_file(path, [](std::ostream& out) { out << "two"; });
  CHECK(content(path) == "two");
  CHECK(files_in(scratch.path()) == 1);
}

TEST_CASE("a writer that fails leaves the old file and nothing else", "[reports][file]") {
  const Scratch scratch;
  const std::string path = scratch.write("out.json", "old");
  CHECK_THROWS_AS(write_file(path,
                             [](std::ostream& out) {
                               out << "half";
                               throw std::runtime_error("midway");
                             }),
                  std::runtime_error);
  CHECK(content(path) == "old");
  CHECK(files_in(scratch.path()) == 1);
}

TEST_CASE("a folder that is not there is named", "[reports][file]") {
  const Scratch scratch;
  const auto write = [&](const std::string& to) { write_file(to, [](std::ostream& out) { out << "x"; }); };
  CHECK_THROWS_AS(write(scratch.path() + "/none/out.json"), BadInput);
  CHECK_THROWS_WITH(write(scratch.path() + "/none/out.json"),
                    ContainsSubstring("none/out.json: cannot be written: No such file or directory"));
  CHECK_THROWS_WITH(write(scratch.path()), ContainsSubstring("it is a folder"));
  const std::string file = scratch.write("file", "x");
  CHECK_THROWS_WITH(write(file + "/out.json"), ContainsSubstring("Not a directory"));
  CHECK(files_in(scratch.path()) == 1);
}

TEST_CASE("a full disk is an error", "[reports][file]") {
  if (!fs::exists("/dev/full")) return;
  CHECK_THROWS_AS(write_file("/dev/full", [](std::ostream& out) { out << std::string(1 << 20, 'x'); }), BadInput);
}

TEST_CASE("a device is written in place and a link is followed", "[reports][file]") {
  write_file("/dev/null", [](std::ostream& out) { out << "x"; });
  CHECK(fs::is_character_file("/dev/null"));
  const Scratch scratch;
  const std::string target = scratch.write("target", "old"), link = scratch.path() + "/link";
  fs::create_symlink(target, link);
  write_file(link, [](std::ostream& out) { out << "new"; });
  CHECK(fs::is_symlink(link));
  CHECK(content(target) == "new");
}
