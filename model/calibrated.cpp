// Costs from calibration rows: exact where a row is, else the efficiency against the floor of the nearest rows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "model/cite.hpp"
#include "model/collective.hpp"
#include "model/cost.hpp"
#include "model/floor.hpp"
#include "model/spread.hpp"

namespace railcast {
namespace {

/// A row in its family, sustained.
struct Point {
  Shape shape;
  std::int64_t sms = 0;
  double seconds = 0;  ///< launch included
  Coordinates at{};
  double log_efficiency = 0;  ///< ln of floor over time, launch taken off
  bool corrected = false;     ///< from a cool row
  std::string where;
};

struct Family {
  std::vector<Point> points;
  Coordinates least{}, most{};  ///< corners of the points
  std::int64_t only_sms = 0;    ///< where all points have one SM count
  bool own = false;             ///< rows of railcast's own kernels
  double spread = 0;            ///< of interpolated shapes: each forecast from the family's others
};

/// What the nearest rows say of a shape.
struct Estimate {
  double log_efficiency = 0;
  bool inside = true;
  std::string source;
};

// How far two rows differ: halving the work counts 0.5, half of the SMs 4, twice the intensity 2. Chosen, with four
// neighbours and inverse squares, by leave-one-out over the GEMM tables (mean error 4 to 7 %).
constexpr Coordinates kScale{0.5, 0.5, 4, 2};
constexpr std::size_t kNeighbours = 4;
constexpr double kSlack = 1e-9;
constexpr std::size_t kFewestForSpread = 10;  // below, ceil(0.9 (n + 1)) exceeds n: the pooled spread of all families

double squared_distance(const Coordinates& a, const Coordinates& b) {
  double d = 0;
  for (std::size_t i = 0; i < a.size(); ++i) d += std::pow(kScale[i] * (a[i] - b[i]), 2);
  return d;
}

bool memory_bound(const Shape& s) { return flops(s) == 0; }

/// Geometric mean of sustained over cool where a family has both for one shape and SM count; 1 where it has none.
double sustained_over_cool(const std::vector<const CalibrationRow*>& rows) {
  double sum = 0, n = 0;
  for (const auto* cool : rows) {
    for (const auto* warm : rows) {
      if (cool->method != "cool" || warm->method != "sustained") continue;
      if (!(warm->shape == cool->shape) || warm->sms != cool->sms) continue;
      sum += std::log(warm->us / cool->us);
      ++n;
    }
  }
  return n > 0 ? std::exp(sum / n) : 1;
}

bool has_sustained(const std::vector<const CalibrationRow*>& rows, const CalibrationRow& r) {
  return std::any_of(rows.begin(), rows.end(),
                     [&](const auto* o) { return o->method == "sustained" && o->shape == r.shape && o->sms == r.sms; });
}

class Calibrated : public CostModel {
 public:
  Calibrated(const Machine& m, const std::vector<CalibrationRow>& rows)
      : machine_(m), measured_(m), roofline_(roofline(m)) {
    measured_.sms = m.calibrated_on.sms;
    measured_.bf16_peak = m.calibrated_on.bf16_peak;
    measured_.fp8_peak = m.calibrated_on.fp8_peak;
    measured_.hbm = m.calibrated_on.hbm;
    std::map<std::string, std::vector<const CalibrationRow*>> by_family;
    for (const auto& r : rows) {
      if (r.impl == impl_for(m, stem(r.shape), dtype_of(r.shape))) by_family[family(r.shape)].push_back(&r);
    }
    for (const auto& [name, members] : by_family) add_family(name, members);
    learn_sm_law();
    learn_spreads();
  }

  Cost cost(const Shape& s, std::int64_t sms) const override {
    check_sms(machine_, sms);
    if (is_collective(s)) return collective(s, sms);
    const auto own = families_.find(family(s));
    if (own != families_.end()) {
      Cost c = from_family(own->second, s, sms);
      c.own = own->second.own && (c.provenance == Provenance::measured || c.provenance == Provenance::interpolated);
      return c;
    }
    return without_rows(s, sms);
  }

 private:
  void add_family(const std::string& name, const std::vector<const CalibrationRow*>& rows) {
    const double ratio = sustained_over_cool(rows);
    Family& f = families_[name];
    for (const auto* r : rows) {
      const bool warm = r->method == "sustained";
      if (!warm && has_sustained(rows, *r)) continue;
      f.points.push_back(point(*r, warm ? 1 : ratio, !warm));
    }
    f.least = f.most = f.points.front().at;
    f.only_sms = f.points.front().sms;
    f.own = rows.front()->impl == "railcast";
    for (const auto& p : f.points) {
      if (p.sms != f.only_sms) f.only_sms = 0;
      for (std::size_t i = 0; i < p.at.size(); ++i) {
        f.least[i] = std::min(f.least[i], p.at[i]);
        f.most[i] = std::max(f.most[i], p.at[i]);
      }
    }
  }

  Point point(const CalibrationRow& r, double ratio, bool corrected) const {
    Point p{r.shape, r.sms, r.us * ratio * 1e-6, {}, 0, corrected, r.where};
    const Floor f = floor_of(measured_, r.shape, r.sms);
    p.at = coordinates(measured_, f, r.sms);
    p.log_efficiency = std::log(f.seconds() / after_launch(p.seconds));
    if (corrected) p.where += " x " + std::to_string(ratio).substr(0, 5) + " (cool to sustained)";
    return p;
  }

  double after_launch(double seconds) const {
    return std::max(0.5 * seconds, seconds - machine_.kernel_launch.seconds());
  }

  /// Mean time at fewer SMs over that at all, of the shapes swept: at the power cap fewer SMs clock higher.
  void learn_sm_law() {
    std::map<std::int64_t, std::pair<double, double>> sums;
    for (const auto& [name, f] : families_) {
      for (const auto& p : f.points) {
        const Point* const full = exact(f, p.shape, measured_.sms);
        if (full == nullptr || f.only_sms != 0 || memory_bound(p.shape)) continue;
        auto& [sum, n] = sums[p.sms];
        sum += std::log(p.seconds / full->seconds);
        ++n;
      }
    }
    for (const auto& [sms, s] : sums) sm_law_[std::log2(share(measured_, sms))] = s.first / s.second;
  }

  /// Cross-validation on the rows themselves: of interpolation by leaving a shape out, of the law of SMs by each swept
  /// shape's distance from it.
  void learn_spreads() {
    std::vector<double> pooled;
    for (auto& [name, f] : families_) {
      std::vector<double> own;
      for (const Point& p : f.points)
        if (std::ranges::any_of(f.points, [&](const Point& o) { return !(o.shape == p.shape); }))
          own.push_back(p.log_efficiency - nearest(f, p.shape, p.sms, true).log_efficiency);
      f.spread = own.size() >= kFewestForSpread ? conformal(own) : 0;
      pooled.insert(pooled.end(), own.begin(), own.end());
    }
    const double all = pooled.empty() ? kRooflineSpread : conformal(pooled);
    for (auto& [name, f] : families_) f.spread = f.spread > 0 ? f.spread : all;
    sm_spread_ = spread_of_sm_law();
  }

  double spread_of_sm_law() const {
    std::vector<double> off;
    for (const auto& [name, f] : families_)
      for (const Point& p : f.points)
        if (const Point* const full = exact(f, p.shape, measured_.sms); full != nullptr && f.only_sms == 0)
          if (const auto law = sm_law_.find(std::log2(share(measured_, p.sms))); law != sm_law_.end() && full != &p)
            off.push_back(std::log(p.seconds / full->seconds) - law->second);
    return off.empty() ? kRooflineSpread : conformal(off);
  }

  static double share(const Machine& m, std::int64_t sms) {
    return static_cast<double>(sms) / static_cast<double>(m.sms);
  }

  static const Point* exact(const Family& f, const Shape& s, std::int64_t sms) {
    const auto found =
        std::find_if(f.points.begin(), f.points.end(), [&](const Point& p) { return p.sms == sms && p.shape == s; });
    return found == f.points.end() ? nullptr : &*found;
  }

  /// Time on `sms` SMs over that on all: by the copy table, or by the law of the swept shapes, straight between the
  /// swept counts in log-log and inversely proportional to SMs below them.
  double slower(const Shape& s, std::int64_t sms) const {
    if (memory_bound(s)) return memory_rate(machine_, machine_.sms) / memory_rate(machine_, sms);
    const double x = std::log2(share(machine_, sms));
    if (sm_law_.empty()) return std::exp2(-x);
    const auto above = sm_law_.lower_bound(x - kSlack);
    if (above == sm_law_.end()) return 1;
    if (above == sm_law_.begin()) return std::exp(above->second) * std::exp2(above->first - x);
    const auto below = std::prev(above);
    const double t = (x - below->first) / (above->first - below->first);
    return std::exp(below->second + t * (above->second - below->second));
  }

  /// The count of SMs on the measured chip with the same share.
  std::int64_t measured_sms(std::int64_t sms) const {
    const double there = share(machine_, sms) * static_cast<double>(measured_.sms);
    return std::max<std::int64_t>(1, std::llround(there));
  }

  Cost from_family(const Family& f, const Shape& s, std::int64_t sms) const {
    const Point* const row = exact(f, s, measured_sms(sms));
    if (row != nullptr && machine_.same_chip) {
      Cost c = finished(s, after_launch(row->seconds), row->seconds,
                        row->corrected ? Provenance::interpolated : Provenance::measured, row->where);
      c.spread = row->corrected || machine_.repeat_spread == 0 ? f.spread : std::min(f.spread, machine_.repeat_spread);
      return c;
    }
    const Estimate e = nearest(f, s, sms);
    const Provenance p = machine_.same_chip && e.inside ? Provenance::interpolated : Provenance::extrapolated;
    Cost c = by_efficiency(f, s, sms, e, p);
    c.spread = p == Provenance::interpolated ? f.spread
               : machine_.same_chip          ? std::hypot(f.spread, sm_spread_)
                                             : std::max(f.spread, kRooflineSpread);
    return c;
  }

  /// The floor over the efficiency; a family measured at one SM count is taken there and slowed from it.
  Cost by_efficiency(const Family& f, const Shape& s, std::int64_t sms, const Estimate& e, Provenance p) const {
    const std::int64_t at = counted_at(f, sms);
    const double there = floor_of(machine_, s, at).seconds() / std::exp(e.log_efficiency);
    const double work = at == sms ? there : there * slower(s, sms) / slower(s, at);
    return finished(s, work, work + machine_.kernel_launch.seconds(), p, e.source);
  }

  std::int64_t counted_at(const Family& f, std::int64_t sms) const {
    if (f.only_sms == 0) return sms;
    return std::max<std::int64_t>(1, std::llround(share(measured_, f.only_sms) * static_cast<double>(machine_.sms)));
  }

  /// From the rows of other shapes only, where `others` is set.
  Estimate nearest(const Family& f, const Shape& s, std::int64_t sms, bool others = false) const {
    const std::int64_t there = measured_sms(counted_at(f, sms));
    const Coordinates at = coordinates(measured_, floor_of(measured_, s, there), there);
    std::vector<std::pair<double, const Point*>> order;
    for (const auto& p : f.points)
      if (!others || !(p.shape == s)) order.emplace_back(squared_distance(at, p.at), &p);
    if (order.empty()) return nearest(f, s, sms);
    const std::size_t n = std::min(kNeighbours, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end());
    order.resize(n);
    Estimate e{0, inside(f, at) && (memory_bound(s) || counted_at(f, sms) == sms), {}};
    double weights = 0;
    for (const auto& [d, p] : order) {
      const double w = 1 / (d + 1e-6);
      e.log_efficiency += w * p->log_efficiency;
      weights += w;
      cite(e.source, p->where);
    }
    e.log_efficiency /= weights;
    return e;
  }

  /// Within the corners of the family's work, waves and SMs (memory-bound ops follow the copy table over SMs).
  static bool inside(const Family& f, const Coordinates& at) {
    for (std::size_t i = 0; i < 3; ++i) {
      if (at[i] < f.least[i] - kSlack || at[i] > f.most[i] + kSlack) return false;
    }
    return true;
  }

  Cost finished(const Shape& s, double work, double total, Provenance p, std::string source) const {
    Cost c;
    c.work = Time::seconds(work);
    c.latency = Time::seconds(total) - c.work;
    c.provenance = p;
    c.source = std::move(source);
    c.spread = kRooflineSpread;
    set_draws(machine_, s, c);
    return c;
  }

  /// GEMMs of a stem without rows run as the dense GEMMs of their dtype; memory-bound ops at the copy rate.
  Cost without_rows(const Shape& s, std::int64_t sms) const {
    const auto dense = families_.find(family(Gemm{1, 1, 1, dtype_of(s)}));
    const Floor f = floor_of(machine_, s, sms);
    if (!memory_bound(s) && dense != families_.end() && !std::holds_alternative<Attention>(s)) {
      Estimate e = nearest(dense->second, s, sms, true);
      e.source = "as gemm: " + e.source;
      return by_efficiency(dense->second, s, sms, e, Provenance::assumed);
    }
    if (memory_bound(s) && !machine_.copy_rate.empty()) {
      return finished(s, f.memory, f.memory + machine_.kernel_launch.seconds(), Provenance::assumed,
                      machine_.calibration + "/copy.csv: at the copy rate");
    }
    return roofline_->cost(s, sms);
  }

  /// Port rates are those DeepEP and NCCL reached elsewhere, so extrapolated, or what machine.json says it assumes.
  Cost collective(const Shape& s, std::int64_t sms) const {
    Cost c = collective_cost(machine_, s, sms);
    c.spread = kCollectiveSpread;
    const bool exchange = std::holds_alternative<Dispatch>(s) || std::holds_alternative<Combine>(s);
    if (exchange && machine_.exchange.known()) {
      c.provenance = Provenance::extrapolated;
      c.spread = kExchangeSpread;
      return c;
    }
    const char* const key = c.drawn(Draw::nic) > 0 ? "nic_effective" : "nvlink_effective";
    const auto source = machine_.sources.find(key);
    const bool known = source != machine_.sources.end() && !source->second.starts_with("assumed");
    c.provenance = known ? Provenance::extrapolated : Provenance::assumed;
    if (!known) c.spread = kRooflineSpread;
    return c;
  }

  Machine machine_, measured_;  ///< measured_: with the chip that the rows come from
  std::unique_ptr<CostModel> roofline_;
  std::map<std::string, Family> families_;
  double sm_spread_ = 0;
  std::map<double, double> sm_law_;  ///< log2 share of the SMs -> ln of time over that on all
};

}  // namespace

std::unique_ptr<CostModel> calibrated(const Machine& m, std::vector<CalibrationRow> rows) {
  if (m.calibrated_on.sms == 0 || rows.empty()) return roofline(m);
  return std::make_unique<Calibrated>(m, rows);
}

}  // namespace railcast
