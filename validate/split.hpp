// Which measured rows may be fitted to, and which only judge. The two are different types: the fitter takes a FitPart,
// and only split() makes one.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/cost.hpp"

namespace railcast {

template <class Part>
class Rows {
 public:
  const std::vector<CalibrationRow>& rows() const { return rows_; }

 private:
  friend struct Split;
  explicit Rows(std::vector<CalibrationRow> rows) : rows_(std::move(rows)) {}
  std::vector<CalibrationRow> rows_;
};
using FitPart = Rows<struct ForFit>;
using HeldOut = Rows<struct ForJudgement>;

struct Split {
  FitPart fit;
  HeldOut held_out;
  /// A row goes where the hash of its shape says, so all SM counts, methods and impls of a shape go together. `share`
  /// (0 to 1) is what is held out.
  static Split by_shape(const std::vector<CalibrationRow>& rows, double share);
  /// The same by the hash of the SM count: no fit row has the SMs of a row held out. Rows on `all` SMs are fitted.
  static Split by_sms(const std::vector<CalibrationRow>& rows, double share, std::int64_t all);

 private:
  template <class Judge>
  static Split by(const std::vector<CalibrationRow>& rows, const Judge& held_out);
};

/// The default share.
inline constexpr double kHeldOut = 0.25;

/// 64-bit FNV-1a: the same on every machine and run.
std::uint64_t hash_of(const std::string& text);

}  // namespace railcast
