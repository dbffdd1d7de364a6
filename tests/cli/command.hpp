// Runs the built executable, as a user does.
#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/cli/scratch.hpp"

namespace railcast::tests {

struct Result {
  int code = -1;
  std::string out, err;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// `arguments` as for a shell, in the source tree's root.
inline Result command(const std::string& arguments) {
  static int calls = 0;
  const std::string base = "/tmp/railcast_command_" + std::to_string(getpid()) + "_" + std::to_string(calls++);
  const std::string line =
      "cd " RAILCAST_SOURCE_DIR " && " RAILCAST_EXECUTABLE " " + arguments + " >" + base + ".out 2>" + base + ".err";
  const int status = std::system(line.c_str());
  Result r{WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(base + ".out"), slurp(base + ".err")};
  std::remove((base + ".out").c_str());
  std::remove((base + ".err").c_str());
  return r;
}

inline const std::string kV3 = "scenarios/train/deepseek-v3-2048-h800.json";

}  // namespace railcast::tests
