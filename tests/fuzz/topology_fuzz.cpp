#include "cli/node_topology.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace railcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tests::fed(data, size, [](const std::string& bytes) { parse_topology(bytes, "fuzz.xml"); });
}
