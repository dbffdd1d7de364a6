#include "cli/load_counts.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace railcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return tests::fed(data, size, [](const std::string& bytes) {
    const Array3 a = parse_npy(bytes, "fuzz.npy");
    // As counts or as ids, whichever fits.
    a.outer == 1 ? (void)counts_from(a, "fuzz.npy") : (void)routes_from(a, 256, "fuzz.npy");
  });
}
