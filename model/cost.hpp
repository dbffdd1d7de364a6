// Cost of a Shape: latency, then work at full speed, what it draws meanwhile, and where the number comes from.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/gemm_tile.hpp"
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
  bool own = false;    ///< measured or interpolated from rows of railcast's own kernels
  double spread = 0;   ///< 90 % of measurements are expected within a factor e^spread of total()
  Time total() const { return latency + work; }
  double drawn(Draw d) const { return draw[static_cast<std::size_t>(d)]; }
  double& drawn(Draw d) { return draw[static_cast<std::size_t>(d)]; }
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
  std::string where;                          ///< file:line, device
  GemmTile tile = {};                         ///< that ran, where the row says
  std::vector<std::int64_t> group_rows = {};  ///< of each group, where the row says
};

/// The shape's precision; of a shape without one, what its data is (gate and adamw FP32, else BF16).
Dtype dtype_of(const Shape& s);
/// Dense peak of the precision; FP32 GEMMs run as TF32, half of BF16.
FlopRate peak_of(const Chip& c, Dtype d);
bool is_collective(const Shape& s);

/// Share of the power budget that a kernel takes beside a GEMM at the cap, per share of the device memory's rate.
/// Least squares over the pairs of gemm_beside_copy.csv that fit in HBM together (tests/model/calibrated_test.cpp
/// does the fit again); a GEMM that is not memory-bound takes all of it: 684 to 703 W of 700 in every sustained run.
inline constexpr double kPowerPerHbm = 0.245;

/// What `c.work` draws of HBM (against the measured copy rate) and power, for a kernel that is no collective.
void set_draws(const Machine& m, const Shape& s, Cost& c);

/// Throws std::invalid_argument where sms is not 1..Machine::sms.
void check_sms(const Machine& m, std::int64_t sms);

/// Peaks only (assumed). Collectives from the machine's ports.
std::unique_ptr<CostModel> roofline(const Machine& m);

/// Rows where they exist, between them by log-interpolation of the efficiency against the roofline over work and
/// waves, roofline elsewhere.
std::unique_ptr<CostModel> calibrated(const Machine& m, std::vector<CalibrationRow> rows);

/// What a step sees that runs for hours: kernels that draw the whole power budget take `ratio` times as long as in a
/// sustained row of a tenth of a second (Machine::steady_ratio).
std::unique_ptr<CostModel> steady(std::unique_ptr<CostModel> sustained, double ratio);

/// Expected distinct nodes and GPUs that a token's experts are on under the gate's group limit, own ones included;
/// remote_nodes: without its own; remote_gpus_in_node: copies that cross NVLink (a token reaches a node at the GPU of
/// its own in-node index, so 1 in ranks_per_node needs no forwarding).
struct Reach {
  double nodes = 0, remote_nodes = 0, gpus = 0, remote_gpus_in_node = 0;
};
/// How a gate scores an expert group: V3's by the sum of its two best experts (arXiv 2412.19437, 2.1.2), DeepEP's
/// test router by its best.
enum class GroupScore : std::uint8_t { top2_sum, best };
/// Exact where the gate has no group limit (a product of hypergeometric terms); otherwise the mean over 1024 tokens of
/// independent uniform scores hashed from (seed, token, expert): deterministic, standard error below 0.5 %.
Reach expected_reach(const Dispatch& d, std::int64_t ranks_per_node, GroupScore score = GroupScore::top2_sum);

}  // namespace railcast
