// railcast-measure: reference, validate, time; one CSV per Shape.
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "kernels/bench.hpp"

namespace {

using namespace railcast::kernels;

constexpr const char* kUsage =
    "railcast-measure [--suite NAME|all] [--filter TEXT] [--shapes FILE] [--method cool|sustained|both] [--impl "
    "NAME]...\n"
    "                 [--out DIR] [--json FILE] [--commit ID] [--dry] [--list]\n"
    "Checks each kernel against an FP64 reference, times it, and appends rows to DIR/<stem>.csv (default\n"
    "validate/measured/<device>). Rows that are there already are skipped, so an interrupted run can be resumed.\n"
    "--filter keeps rows whose 'stem m=.. n=.. method=.. impl=..' contains TEXT. --shapes: lines 'stem,int,int,...'.\n"
    "--dry prints and writes nothing. Exit code 1 if any check failed.\n";

void list() {
  for (const Suite& suite : suites()) std::printf("%-26s %s\n", suite.name, suite.what);
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
    else if (name == "--impl")
      options.impls.push_back(value);
    else if (name == "--method" && value != "both")
      options.methods = {value};
    else if (name != "--method")
      throw std::runtime_error(name + " is unknown\n" + kUsage);
  }
  return options;
}

int run(const Options& options) {
  Bench bench(options);
  bool known = false;
  for (const Suite& suite : suites()) {
    const bool all = options.suite == "all" && std::strcmp(suite.name, "gemm_tiles") != 0;
    if (!all && options.suite != suite.name) continue;
    known = true;
    std::printf("== %s: %s\n", suite.name, suite.what);
    suite.run(bench);
  }
  if (!known) throw std::runtime_error("no suite '" + options.suite + "'; --list names them");
  bench.write_json();
  return bench.failures() > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) return list(), 0;
    if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::fputs(kUsage, stdout), 0;
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "railcast-measure: %s\n", error.what());
    return 2;
  }
}
