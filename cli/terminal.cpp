#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "cli/verbs.hpp"
#include "model/scenario.hpp"
#include "reports/file.hpp"

namespace railcast {

bool use_colour() { return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

void progress(const std::string& line) {
  if (isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "railcast: %s\n", line.c_str());
}

bool write_json(const std::optional<std::string>& target, const std::string& json) {
  if (!target) return false;
  if (*target != "-") {
    write_file(*target, [&](std::ostream& out) { out << json; });
    return false;
  }
  std::cout << json << std::flush;
  if (!std::cout) throw BadInput("standard output", "", "cannot be written");
  return true;
}

}  // namespace railcast
