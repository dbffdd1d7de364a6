// The command line of railcast-measure, and the shapes of a --shapes FILE.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace railcast::kernels {

/// By stem: the numbers of each of its lines.
using ShapeLines = std::map<std::string, std::vector<std::vector<std::int64_t>>>;
/// Lines "stem,int,int,..." with an int for each column of the stem, comments (#) and empty lines. Throws naming file
/// and line, what was expected and what was found.
ShapeLines read_shape_lines(const std::string& path);

struct Options {
  std::string suite = "all", filter, shapes_file, out, json, commit = "unknown";
  ShapeLines shapes;  ///< of shapes_file
  std::vector<std::string> methods = {"cool", "sustained"};
  std::vector<std::string> impls;  ///< empty: all
  bool dry = false;                ///< measure and print, write no CSV
  bool list = false, help = false;
  int cases = 0;           ///< > 0: this many random cases of each kernel instead of timing
  std::uint64_t seed = 1;  ///< of the first of them; case i of seed s is case 0 of seed s + i
};

extern const char* const kUsage;
/// Throws std::runtime_error that says what is wrong and what was expected.
Options parse_options(const std::vector<std::string>& arguments);

}  // namespace railcast::kernels
