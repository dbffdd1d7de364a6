#include "kernels/processes.hpp"

#include "kernels/error.hpp"
#include "tests/catch.hpp"

using railcast::kernels::KernelError;
using railcast::kernels::Processes;

namespace {
constexpr const char* kTogether = "processes gather what each gives by rank";
constexpr const char* kApart = "a process that is at another point ends the run of all";
}  // namespace

// Each started process runs this test alone.
TEST_CASE(kTogether, "[kernels][processes]") {
  Processes processes(3, {kTogether});
  for (const std::size_t size : {0, 1, 300000}) {
    const auto rank = static_cast<std::size_t>(processes.rank());
    const std::vector<std::string> all = processes.gather("sizes", std::string(size * rank, 'x'));
    REQUIRE(all.size() == 3);
    for (std::size_t r = 0; r < 3; ++r) CHECK(all[r] == std::string(size * r, 'x'));
  }
  CHECK(processes.met("end"));
}

TEST_CASE(kApart, "[kernels][processes]") {
  Processes processes(2, {kApart});
  const bool first = processes.rank() == 0;
  CHECK_THROWS_AS(processes.meet(first ? "here" : "there"), KernelError);
  CHECK_FALSE(processes.met("end"));
}
