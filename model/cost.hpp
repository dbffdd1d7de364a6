// Cost of a Shape: latency, then work at full speed, what it draws meanwhile, and where the number comes from.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/machine.hpp"
#include "model/shapes.hpp"
#include "sim/graph.hpp"

namespace railcast {

/// measured: a row of the table; interpolated: between rows; extrapolated: beyond them, or scaled from another chip;
/// assumed: a roofline from peaks.
enum class Provenance : std::uint8_t { measured, interpolated, extrapolated, assumed };
inline constexpr int kProvenances = 4;
const char* name(Provenance p);

struct Cost {
  Time latency, work;
  std::array<double, kDraws> draw{};  ///< indexed by Draw
  Provenance provenance = Provenance::assumed;
  std::string source;  ///< file and rows, or the peak used
  Time total() const { return latency + work; }
};

class CostModel {
 public:
  virtual ~CostModel() = default;
  /// Time of `s` on `sms` SMs of one GPU, sustained. Throws std::invalid_argument where sms is not 1..Machine::sms.
  virtual Cost cost(const Shape& s, std::int64_t sms) const = 0;
};

/// One row of a calibration CSV: a shape of one family, where, how and how long.
struct CalibrationRow {
  Shape shape;
  std::int64_t sms = 0;
  std::string method, impl;  ///< method: "cool" | "sustained"
  double us = 0;
  std::string where;  ///< file:line, device
};

/// Peaks only (assumed). Collectives from the machine's ports.
std::unique_ptr<CostModel> roofline(const Machine& m);

/// Rows where they exist, between them by log-interpolation of the efficiency against the roofline over work and
/// waves, roofline elsewhere.
std::unique_ptr<CostModel> calibrated(const Machine& m, std::vector<CalibrationRow> rows);

/// Expected distinct nodes and GPUs that a token's experts are on under the gate's group limit, own ones included.
struct Reach {
  double nodes = 0, remote_nodes = 0, gpus = 0, remote_gpus_in_node = 0;
};
Reach expected_reach(const Dispatch& d, std::int64_t ranks_per_node);

}  // namespace railcast
