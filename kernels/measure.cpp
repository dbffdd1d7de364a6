// railcast-measure: reference, validate, time; one CSV per Shape.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "kernels/bench.hpp"

namespace {

using namespace railcast::kernels;

constexpr const char* kUsage =
    "railcast-measure [--suite NAME|FAMILY|all] [--filter TEXT] [--shapes FILE] [--method cool|sustained|both]\n"
    "                 [--impl NAME]... [--out DIR] [--json FILE] [--commit ID] [--dry] [--list]\n"
    "railcast-measure --tune dispatch|combine [...]\n"
    "railcast-measure --cases N [--seed S] [--suite NAME|FAMILY|all]\n"
    "Checks each kernel against an FP64 reference, times it, and appends rows to DIR/<stem>.csv (default\n"
    "validate/measured/<device>). Rows that are there already are skipped, so an interrupted run can be resumed.\n"
    "--filter keeps rows whose 'stem m=.. n=.. method=.. impl=..' contains TEXT. --shapes: lines 'stem,int,int,...'.\n"
    "--dry prints and writes nothing. Exit code 1 if any check failed.\n"
    "--tune measures a kernel by SMs and chunk (rows of its CSV) and prints the best chunk of each number of SMs.\n"
    "--cases checks N random problems of each kernel and times nothing; case i of seed S is case 0 of seed S + i.\n";

void list() {
  for (const Suite& suite : suites()) std::printf("%-10s %-26s %s\n", suite.family, suite.name, suite.what);
}

std::uint64_t whole_number(const std::string& name, const std::string& value, std::uint64_t least) {
  const bool digits = !value.empty() && value.size() < 10 && value.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoull(value) < least)
    throw std::runtime_error(name + " wants a whole number from " + std::to_string(least) + " to 999999999, got '" +
                             value + "'");
  return std::stoull(value);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--dry") {
      options.dry = true;
      continue;
    }
    if (i + 1 == argc) throw std::runtime_error(name + " is unknown or wants a value\n" + kUsage);
    const std::string value = argv[++i];
    if (name == "--suite")
      options.suite = value;
    else if (name == "--filter")
      options.filter = value;
    else if (name == "--shapes")
      options.shapes_file = value;
    else if (name == "--out")
      options.out = value;
    else if (name == "--json")
      options.json = value;
    else if (name == "--commit")
      options.commit = value;
    else if (name == "--tune")
      options.suite = value + "_tune";
    else if (name == "--cases")
      options.cases = static_cast<int>(whole_number(name, value, 1));
    else if (name == "--seed")
      options.seed = whole_number(name, value, 0);
    else if (name == "--impl")
      options.impls.push_back(value);
    else if (name == "--method" && value != "both")
      options.methods = {value};
    else if (name != "--method")
      throw std::runtime_error(name + " is unknown\n" + kUsage);
  }
  return options;
}

std::vector<Suite> asked_for(const Options& options) {
  std::vector<Suite> asked;
  for (const Suite& suite : suites()) {
    const std::string family = suite.family;
    const bool apart = family == "printed" || family == "tune" || family == "nvlink";
    const bool all = options.suite == "all" && !apart;
    if (all || options.suite == suite.name || options.suite == suite.family) asked.push_back(suite);
  }
  if (asked.empty()) throw std::runtime_error("no suite or family '" + options.suite + "'; --list names them");
  if (options.cases == 0) return asked;
  std::erase_if(asked, [](const Suite& suite) { return suite.cases == nullptr; });
  if (asked.empty()) throw std::runtime_error("'" + options.suite + "' has no random cases; leave --cases out");
  return asked;
}

int run(const Options& options) {
  const std::vector<Suite> asked = asked_for(options);
  Bench bench(options);
  for (const Suite& suite : asked) {
    std::printf("== %s: %s\n", suite.name, suite.what);
    (options.cases > 0 ? suite.cases : suite.run)(bench);
  }
  bench.write_json();
  return bench.failures() > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  // CUDA loads a kernel at its first launch, which can wait for one that runs; that one may wait for a rank whose
  // kernel is not launched yet.
  setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  try {
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) return list(), 0;
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::fputs(kUsage, stdout), 0;
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "railcast-measure: %s\n", error.what());
    return 2;
  }
}
