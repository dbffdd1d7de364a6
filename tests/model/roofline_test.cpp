#include <stdexcept>

#include "cli/load_machine.hpp"
#include "model/cost.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {
Machine h100() { return load_machine("h100", std::string(RAILCAST_SOURCE_DIR) + "/scenarios"); }
}  // namespace

TEST_CASE("the roofline of a large GEMM is its FLOPs over the peak of its SMs", "[model][roofline]") {
  const Machine m = h100();
  const Gemm g{8192, 8192, 8192, Dtype::bf16};
  const Cost all = roofline(m)->cost(g, 132), half = roofline(m)->cost(g, 66);
  CHECK(all.work.seconds() == Approx(2 * 8192.0 * 8192 * 8192 / 989.5e12));
  CHECK(all.latency == m.kernel_launch);
  CHECK(half.work.seconds() == Approx(2 * all.work.seconds()));
  CHECK(all.provenance == Provenance::assumed);
  CHECK(roofline(m)->cost(Gemm{8192, 8192, 8192, Dtype::fp8_block}, 132).work.seconds() ==
        Approx(all.work.seconds() / 2));
  CHECK(all.drawn(Draw::power) == 1);
}

TEST_CASE("the roofline of a memory-bound op is its bytes over the memory's peak", "[model][roofline]") {
  const Machine m = h100();
  const Cost c = roofline(m)->cost(RmsNorm{8192, 7168, false}, 132);
  CHECK(c.work.seconds() == Approx(hbm_bytes(RmsNorm{8192, 7168, false}) / 3.35e12));
  CHECK(roofline(m)->cost(RmsNorm{8192, 7168, false}, 33).work == c.work);
  CHECK(roofline(m)->cost(RmsNorm{8192, 7168, false}, 11).work.seconds() == Approx(3 * c.work.seconds()));
  CHECK(c.drawn(Draw::hbm) == 1);
  CHECK(c.drawn(Draw::power) == Approx(kPowerPerHbm));
}

TEST_CASE("more SMs than the GPU has are refused", "[model][roofline]") {
  const auto costs = roofline(h100());
  CHECK_THROWS_AS(costs->cost(Add{8, 8}, 133), std::invalid_argument);
  CHECK_THROWS_AS(costs->cost(Add{8, 8}, 0), std::invalid_argument);
  CHECK_THROWS_AS(costs->cost(AllReduce{8, 8, 8}, 133), std::invalid_argument);
}
