// Includes run one way: sim <- model <- reports <- validate <- cli; kernels see model/shapes.hpp and
// gemm_tile.hpp alone.
#include <map>
#include <optional>
#include <regex>

#include "tests/catch.hpp"
#include "tests/source_tree.hpp"

using namespace railcast::tests;

namespace {

struct Rule {
  std::vector<std::string> project;   ///< folders, or single headers, that "..." may name
  std::vector<std::string> packages;  ///< what <...> may begin with, besides the standard library
};

const std::map<std::string, Rule>& rules() {
  static const std::map<std::string, Rule> table = {
      {"sim", {{"sim/"}, {}}},
      {"model", {{"model/", "sim/"}, {}}},
      {"reports", {{"reports/", "model/", "sim/"}, {"nlohmann/"}}},
      {"kernels",
       {{"kernels/", "model/shapes.hpp", "model/gemm_tile.hpp"},
        {"Eigen/", "cuda", "cooperative_groups", "cublas", "nccl", "dlfcn.h", "fcntl.h", "spawn.h", "sys/",
         "unistd.h"}}},
      {"validate", {{"validate/", "reports/", "model/", "sim/"}, {"Eigen/", "nlohmann/"}}},
      {"cli", {{"cli/", "validate/", "reports/", "model/", "sim/"}, {"nlohmann/", "CLI/", "pugixml.hpp", "unistd.h"}}},
  };
  return table;
}

bool begins_with_one_of(const std::string& text, const std::vector<std::string>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](const auto& b) { return text.starts_with(b); });
}

/// The standard library's headers are one lower-case word.
bool is_standard(const std::string& header) { return std::regex_match(header, std::regex("[a-z_0-9]+")); }

/// CLI11 belongs beside main, in the verbs: what they call (load, forecast) parses no command line.
bool command_line_where_none_is(const std::string& path, const std::string& header) {
  return header.starts_with("CLI/") &&
         begins_with_one_of(path, {"cli/load", "cli/forecast", "cli/json", "cli/quantity"});
}

/// Why this line of this file breaks the rules; nothing where it does not.
std::optional<std::string> broken_rule(const std::string& path, const std::string& line) {
  static const std::regex include(R"re(\s*#\s*include\s*([<"])([^>"]+)[>"].*)re");
  std::smatch found;
  if (!std::regex_match(line, found, include)) return std::nullopt;
  const Rule& rule = rules().at(path.substr(0, path.find('/')));
  const std::string header = found[2];
  const bool allowed = found[1] == "\"" ? begins_with_one_of(header, rule.project)
                                        : is_standard(header) || begins_with_one_of(header, rule.packages);
  if (allowed && !command_line_where_none_is(path, header)) return std::nullopt;
  return path + " may not include " + header;
}

std::vector<std::string> folders() {
  std::vector<std::string> names;
  for (const auto& [folder, rule] : rules()) names.push_back(folder);
  return names;
}

}  // namespace

TEST_CASE("every include follows the layers", "[layers]") {
  const auto files = source_files(folders());
  REQUIRE(files.size() > 20);  // the tree was found
  for (const auto& file : files)
    for (const auto& line : file.lines)
      if (const auto broken = broken_rule(file.path, line)) FAIL_CHECK(*broken);
}

TEST_CASE("shapes.hpp and gemm_tile.hpp drag nothing of the project into a kernel", "[layers]") {
  for (const auto& file : source_files({"model"}))
    for (const auto& line : file.lines) {
      if (line.find("#include \"") == std::string::npos) continue;
      CHECK(file.path != "model/shapes.hpp");
      if (file.path == "model/gemm_tile.hpp") CHECK(line == "#include \"model/shapes.hpp\"");
    }
}

TEST_CASE("an include against the layers is found", "[layers]") {
  CHECK(broken_rule("sim/engine.cpp", "#include \"model/plan.hpp\""));
  CHECK(broken_rule("sim/engine.cpp", "#include <nlohmann/json.hpp>"));
  CHECK(broken_rule("sim/engine.cpp", "#include <unistd.h>"));
  CHECK(broken_rule("model/train.cpp", "  #  include \"reports/text.hpp\"  // why"));
  CHECK(broken_rule("model/train.cpp", "#include \"train.hpp\""));
  CHECK(broken_rule("reports/text.cpp", "#include \"cli/load.hpp\""));
  CHECK(broken_rule("kernels/gemm.cu", "#include \"model/plan.hpp\""));
  CHECK(broken_rule("kernels/gemm.cu", "#include \"sim/units.hpp\""));
  CHECK(broken_rule("cli/forecast.cpp", "#include \"kernels/reference.hpp\""));
  CHECK(broken_rule("cli/load.cpp", "#include <CLI/CLI.hpp>"));
}

TEST_CASE("an include along the layers is let pass", "[layers]") {
  CHECK_FALSE(broken_rule("sim/engine.cpp", "#include <unordered_map>"));
  CHECK_FALSE(broken_rule("model/train.cpp", "#include \"sim/graph.hpp\""));
  CHECK_FALSE(broken_rule("kernels/gemm.cu", "#include \"model/shapes.hpp\""));
  CHECK_FALSE(broken_rule("kernels/gemm.cu", "#include <cuda_fp8.h>"));
  CHECK_FALSE(broken_rule("cli/main.cpp", "#include <CLI/CLI.hpp>"));
  CHECK_FALSE(broken_rule("cli/load.cpp", "// says #include \"kernels/x.hpp\""));
}
