#include "model/spread.hpp"

#include <cmath>

#include "cli/load_calibration.hpp"
#include "cli/load_exchange_kernels.hpp"
#include "cli/load_machine.hpp"
#include "cli/measured.hpp"
#include "model/collective.hpp"
#include "model/forms.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

const std::string kRoot = RAILCAST_SOURCE_DIR;
Machine machine(const std::string& name) { return load_machine(name, kRoot + "/scenarios"); }

}  // namespace

TEST_CASE("the conformal quantile is the ceil(0.9 (n + 1))-th error", "[model][spread]") {
  CHECK(conformal({}) == 0);
  CHECK(conformal({0.2}) == 0.2);
  CHECK(conformal({1, 2, 3, 4, 5, 6, 7, 8, 9}) == 9);
  CHECK(conformal({-10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}) == 9);
}

TEST_CASE("what is assumed spreads as rooflines do from the H100's rows", "[model][spread]") {
  const Machine m = machine("h100");
  const auto costs = roofline(m);
  std::vector<double> off;
  for (const auto& r : load_calibration(m.calibration))
    if (r.method == "sustained" && r.impl == impl_for(m, stem(r.shape), dtype_of(r.shape)))
      off.push_back(std::log(r.us * 1e-6 / costs->cost(r.shape, r.sms).total().seconds()));
  REQUIRE(off.size() > 150);
  CHECK(conformal(off) == Approx(kRooflineSpread).margin(0.02));
}

TEST_CASE("collectives spread as NCCL's timings do", "[model][spread]") {
  const Machine m = machine("h100");
  std::vector<double> off;
  for (const auto& r : load_measured(kRoot + "/validate/published/nccl_h100.csv", {"h100", 132, "", ""}).rows)
    if (message_bytes(r.shape) >= 1 << 20)
      off.push_back(std::log(r.us * 1e-6 / collective_cost(m, r.shape, 132).total().seconds()));
  REQUIRE(off.size() > 150);
  CHECK(conformal(off) == Approx(kCollectiveSpread).margin(0.01));
}

TEST_CASE("exchanges spread as DeepEP's tables do", "[model][spread]") {
  std::vector<double> off;
  for (const auto& p : load_published_exchanges(kRoot + "/validate/published/deepep.json")) {
    const Machine m = machine(p.machine);
    off.push_back(std::log(predicted_seconds(m, m.exchange, p) / published_seconds(p, m.gpus_per_node)));
  }
  CHECK(conformal(off) == Approx(kExchangeSpread).margin(0.01));
}
