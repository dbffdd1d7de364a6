// railcast-measure: reference, validate, time; one CSV per Shape.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

#include "kernels/bench.hpp"
#include "kernels/error.hpp"

namespace {

using namespace railcast::kernels;

void list() {
  for (const Suite& suite : suites()) std::printf("%-10s %-26s %s\n", suite.family, suite.name, suite.what);
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
  if (!options.shapes.empty()) {
    std::erase_if(asked, [&](const Suite& suite) { return options.shapes.count(suite.name) == 0; });
    if (asked.empty())
      throw std::runtime_error(options.shapes_file + ": no line for '" + options.suite +
                               "', whose lines begin with a suite's name");
  }
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
  bench.finish();
  return bench.failures() > 0 ? 1 : 0;
}

/// kUsage names the exit codes.
int code_of(Fault fault) {
  if (fault == Fault::driver || fault == Fault::device) return 3;
  return fault == Fault::argument ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  // CUDA loads a kernel at its first launch, which can wait for one that runs; that one may wait for a rank whose
  // kernel is not launched yet.
  setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  try {
    const Options options = parse_options({argv + 1, argv + argc});
    if (options.help) return std::fputs(kUsage, stdout), 0;
    if (options.list) return list(), 0;
    return run(options);
  } catch (const KernelError& error) {
    std::fprintf(stderr, "railcast-measure: %s\n", error.what());
    return code_of(error.fault());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "railcast-measure: %s\n", error.what());
    return 2;
  }
}
