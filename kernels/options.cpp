#include "kernels/options.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>

#include "kernels/csv.hpp"

namespace railcast::kernels {

const char* const kUsage =
    R"(railcast-measure: checks each kernel against its reference, times it, and appends a row to a CSV.

railcast-measure [--suite NAME|FAMILY|all] [OPTION]...
railcast-measure --tune dispatch|combine [OPTION]...
railcast-measure --cases N [--seed S] [--suite NAME|FAMILY|all]

  --list             suites and their families
  --suite NAME       a suite or a family; all (the default) leaves out tune, nvlink and what is only printed
  --filter TEXT      rows whose "stem m=.. n=.. dtype=.. sms=.. method=.. impl=.." contains TEXT
  --shapes FILE      shapes instead of the usual ones: lines "stem,int,int,...", such as gemm,4096,7168,2048
  --method NAME      cool, sustained or both (the default); kernels/README.md says what they are
  --impl NAME        that impl alone (railcast, cublaslt_block, ...); may be given several times
  --out DIR          where the CSVs are (default validate/measured/<device>); rows that are there are skipped, so
                     that an interrupted run goes on where it ended
  --json FILE        also writes this run's timed rows as Google Benchmark does
  --commit ID        for the CSVs' comments
  --dry              prints rows and writes no CSV
  --tune KERNEL      dispatch or combine by SMs and chunk: rows of its CSV, and the best chunk of each number of SMs
  --cases N          N random problems of each kernel against the reference, and no timing
  --seed S           of the first of them; case i of seed S is case 0 of seed S + i

Times are in microseconds (p50_us), rates in TFLOP/s and GB/s, clocks in MHz, power in W.
Exit codes: 0 done; 1 a check or a launch failed; 2 bad input; 3 no Hopper GPU or no driver here.

  railcast-measure --suite gemm --filter "m=4096 n=7168" --method sustained
  railcast-measure --suite gemms --shapes mine.txt --out /tmp/mine --json /tmp/mine.json
  railcast-measure --cases 500 --suite gemms
)";

namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::int64_t whole_number(const std::string& what, const std::string& value, std::int64_t least) {
  const bool digits = !value.empty() && value.size() < 10 && value.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoll(value) < least)
    refuse(what + " wants a whole number from " + std::to_string(least) + " to 999999999, got '" + value + "'");
  return std::stoll(value);
}

std::string one_of(const std::string& what, const std::string& value, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), value) == known.end())
    refuse(what + " is '" + value + "'; expected " + joined(known, ", "));
  return value;
}

/// A stem's columns. Most take a tile after them.
struct Columns {
  std::vector<std::string> names;
  bool tile = true;
};
const std::map<std::string, Columns>& columns_of_stems() {
  static const std::map<std::string, Columns> table = {
      {"gemm", {{"m", "n", "k"}, false}},
      {"gemm_sms", {{"m", "n", "k"}, false}},
      {"gemm_tiles", {{"m", "n", "k"}}},
      {"gemm_beside_copy", {{"m", "n", "k"}, false}},
      {"grouped_gemm_contiguous", {{"groups", "m", "n", "k", "uneven"}}},
      {"grouped_gemm_masked", {{"groups", "m", "n", "k"}}},
      {"wgrad", {{"m", "n", "k"}}},
      {"wgrad_grouped", {{"groups", "m", "n", "k"}}},
  };
  return table;
}

constexpr std::size_t kTile = 4;  // bm, bn, multicast, split

void read_line(const std::string& where, const std::string& line, ShapeLines& lines) {
  const std::vector<std::string> cells = split_csv(line);
  const auto& stems = columns_of_stems();
  const auto found = stems.find(cells.at(0));
  if (found == stems.end()) {
    std::vector<std::string> known;
    for (const auto& [stem, columns] : stems) known.push_back(stem);
    refuse(where + ": '" + cells[0] + "' takes no shapes; expected a line that begins with " + joined(known, ", "));
  }
  const auto& [names, tile] = found->second;
  const std::size_t given = cells.size() - 1, more = given - names.size();
  if (given < names.size() || (more > 0 && (!tile || more % kTile != 0)))
    refuse(where + ": expected " + cells[0] + "," + joined(names, ",") + (tile ? "[,bm,bn,multicast,split]" : "") +
           ", got '" + line + "'");
  std::vector<std::int64_t>& numbers = lines[cells[0]].emplace_back();
  for (std::size_t i = 0; i < given; ++i) {
    const std::string name = i < names.size() ? names[i] : "the tile";
    numbers.push_back(whole_number(where + ": " + name, cells[i + 1], name == "uneven" ? 0 : 1));
  }
}

constexpr std::uintmax_t kLargestFile = 1 << 20;

}  // namespace

ShapeLines read_shape_lines(const std::string& path) {
  std::error_code failed;
  if (const std::uintmax_t bytes = std::filesystem::file_size(path, failed); !failed && bytes > kLargestFile)
    refuse(path + ": " + std::to_string(bytes) + " bytes are no list of shapes; --shapes reads up to 1 MiB");
  std::ifstream in(path);
  ShapeLines lines;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number)
    if (!line.empty() && line[0] != '#') read_line(path + ":" + std::to_string(number), line, lines);
  if (!in.eof()) refuse(path + ": cannot be read; --shapes wants lines like gemm,4096,7168,2048");
  if (lines.empty()) refuse(path + ": no shapes; --shapes wants lines like gemm,4096,7168,2048");
  return lines;
}

Options parse_options(const std::vector<std::string>& arguments) {
  Options o;
  const std::map<std::string, std::function<void()>> flags = {
      {"--dry", [&] { o.dry = true; }}, {"--list", [&] { o.list = true; }}, {"--help", [&] { o.help = true; }}};
  std::string value;
  const std::map<std::string, std::function<void()>> settings = {
      {"--suite", [&] { o.suite = value; }},
      {"--filter", [&] { o.filter = value; }},
      {"--shapes", [&] { o.shapes_file = value, o.shapes = read_shape_lines(value); }},
      {"--out", [&] { o.out = value; }},
      {"--json", [&] { o.json = value; }},
      {"--commit", [&] { o.commit = value; }},
      {"--tune",
       [&] {
         o.suite = one_of("--tune", value, {"dispatch", "combine"}) + "_tune";
       }},
      {"--cases", [&] { o.cases = static_cast<int>(whole_number("--cases", value, 1)); }},
      {"--seed", [&] { o.seed = static_cast<std::uint64_t>(whole_number("--seed", value, 0)); }},
      {"--impl", [&] { o.impls.push_back(value); }},
      {"--method",
       [&] {
         if (one_of("--method", value, {"cool", "sustained", "both"}) != "both") o.methods = {value};
       }},
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (const auto flag = flags.find(name); flag != flags.end()) {
      flag->second();
      continue;
    }
    const auto setting = settings.find(name);
    if (setting == settings.end()) refuse("'" + name + "' is unknown; --help lists the options");
    if (i + 1 == arguments.size()) refuse(name + " wants a value; --help says which");
    value = arguments[++i];
    setting->second();
  }
  if (o.cases > 0 && !o.shapes.empty()) refuse("--cases draws its own shapes; leave --shapes out");
  return o;
}

}  // namespace railcast::kernels
