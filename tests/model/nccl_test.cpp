#include "model/nccl.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <sstream>

#include "cli/load_machine.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

const std::string kRoot = RAILCAST_SOURCE_DIR;

struct Timing {
  std::string op, dtype;
  std::int64_t gpus = 0, bytes = 0;
  double us = 0;
};

std::uint64_t mixed(std::uint64_t x) {  // SplitMix64
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// A quarter of the shapes; repeats of a shape stay together.
bool held_out(const Timing& t) {
  const std::vector<std::string> ops{"all_reduce", "all_gather", "reduce_scatter", "alltoall"};
  const auto op = static_cast<std::uint64_t>(std::ranges::find(ops, t.op) - ops.begin());
  return mixed(mixed(mixed(op) ^ std::uint64_t(t.gpus)) ^ std::uint64_t(t.bytes)) % 4 == 0;
}

std::vector<Timing> timings(bool held) {
  std::ifstream in(kRoot + "/validate/published/nccl_h100.csv");
  std::vector<Timing> all;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("#") || line.starts_with("nccl,")) continue;
    std::istringstream cells(line);
    std::string cell[8];
    for (std::string& c : cell) std::getline(cells, c, ',');
    const Timing t{cell[1], cell[2], std::stoll(cell[3]), std::stoll(cell[5]), std::stod(cell[6]) * 1e3};
    if (held_out(t) == held) all.push_back(t);
  }
  return all;
}

// Sums in the NVSwitch are of floating-point numbers.
double predicted_us(const Nccl& n, const Timing& t, ByteRate full) {
  const std::int64_t passes = t.op == "all_reduce" ? 2 : 1;
  const double wire = double(passes) * double(t.bytes) * double(t.gpus - 1) / double(t.gpus);
  const NcclPath path = t.op == "alltoall" ? peer_path(n, t.gpus, wire, full)
                                           : ring_path(n, passes, t.gpus, wire, full, t.dtype != "int8");
  return path.total(wire).seconds() * 1e6;
}

double loss(const Nccl& n, const std::vector<Timing>& rows, ByteRate full) {
  double sum = 0;
  for (const Timing& t : rows) sum += std::pow(std::log(predicted_us(n, t, full) / t.us), 2);
  return std::sqrt(sum / double(rows.size()));
}

double median_error(const Nccl& n, const std::vector<Timing>& rows, ByteRate full) {
  std::vector<double> errors;
  for (const Timing& t : rows) errors.push_back(std::abs(predicted_us(n, t, full) / t.us - 1));
  std::ranges::nth_element(errors, errors.begin() + std::ssize(errors) / 2);
  return errors[errors.size() / 2];
}

/// Each constant multiplied.
std::vector<std::function<void(Nccl&, double)>> constants() {
  const auto time = [](Time Nccl::*t) {
    return [t](Nccl& n, double by) { n.*t = Time::seconds((n.*t).seconds() * by); };
  };
  const auto rate = [](ByteRate Nccl::*r) { return [r](Nccl& n, double by) { n.*r = by * n.*r; }; };
  const auto ratio = [](double Nccl::*d) { return [d](Nccl& n, double by) { n.*d *= by; }; };
  return {time(&Nccl::start),
          time(&Nccl::hop),
          rate(&Nccl::low_latency),
          time(&Nccl::simple),
          ratio(&Nccl::few),
          ratio(&Nccl::in_switch),
          time(&Nccl::in_switch_start),
          time(&Nccl::peer_start),
          time(&Nccl::per_peer),
          rate(&Nccl::peer_low_latency),
          time(&Nccl::peer_simple)};
}

}  // namespace

TEST_CASE("NCCL's constants are the fit's optimum, and hold on what was held out", "[model][nccl]") {
  const Machine m = load_machine("h100", kRoot + "/scenarios");
  REQUIRE(m.nccl.known());
  const auto fit = timings(false), held = timings(true);
  REQUIRE(fit.size() + held.size() == 400);
  CHECK(held.size() == 102);
  const double best = loss(m.nccl, fit, m.nvlink_effective);
  for (const auto& constant : constants())
    for (double by : {0.95, 1.05}) {
      Nccl moved = m.nccl;
      constant(moved, by);
      CHECK(loss(moved, fit, m.nvlink_effective) > best);
    }
  CHECK(median_error(m.nccl, fit, m.nvlink_effective) < 0.08);
  CHECK(median_error(m.nccl, held, m.nvlink_effective) < 0.08);
  CHECK(loss(m.nccl, held, m.nvlink_effective) < 0.15);
}

TEST_CASE("protocols change where they cross, and time only grows with bytes", "[model][nccl]") {
  const Machine m = load_machine("h100", kRoot + "/scenarios");
  for (std::int64_t ranks : {2, 4, 8}) {
    Time last;
    for (double bytes = 1; bytes < 1e10; bytes *= 1.5) {
      const Time t = ring_path(m.nccl, 2, ranks, bytes, m.nvlink_effective, true).total(bytes);
      CHECK(t >= last);
      last = t;
    }
    const double large = 1e10;
    CHECK(ring_path(m.nccl, 1, ranks, large, m.nvlink_effective, true).rate <= m.nvlink_effective);
    CHECK(ring_path(m.nccl, 1, ranks, 1, m.nvlink_effective, true).rate == m.nccl.low_latency);
  }
  CHECK(ring_path(m.nccl, 2, 8, 1e10, m.nvlink_effective, true).rate < m.nvlink);
}
