#include "validate/fit.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

#include "model/floor.hpp"
#include "model/spread.hpp"
#include "validate/compare.hpp"
#include "validate/least_squares.hpp"

namespace railcast {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using Ids = std::vector<std::size_t>;

constexpr double kKnee = 0.08;       // relative error beyond which a row's pull stops growing
constexpr std::size_t kFolds = 8;    // of cross-validation
constexpr std::size_t kDraws = 32;   // of likenesses tried
constexpr std::size_t kNearby = 40;  // of likenesses tried beside the best of them
constexpr std::size_t kParents = 4;
constexpr std::size_t kAveraged = 8;  // of those, the best, averaged
constexpr double kNoise = 0.05;  // ln; repeats of a GEMM differ by 1.5 % in the median, 5.5 % at the 90th percentile

Index at(std::size_t i) { return static_cast<Index>(i); }

/// 0 to 1 by number: deterministic, no shared stream.
double uniform(std::size_t draw, std::size_t dimension) {
  return static_cast<double>(hash_of(std::to_string(draw) + "," + std::to_string(dimension)) >> 11) * 0x1p-53;
}

/// Likenesses near the usual scales: draw 0 is the usual one.
std::vector<Likeness> drawn(Form form, std::size_t draw) {
  const auto spread = [&](std::size_t i, double width) {
    return draw == 0 ? 1.0 : std::exp(width * 2 * (uniform(draw, i) - 0.5));
  };
  std::vector<Likeness> terms(2);
  const Values& usual = usual_scales(form);
  for (std::size_t t = 0; t < terms.size(); ++t) {
    terms[t].power = t == 0 && draw > 0 ? 0.7 + 0.6 * uniform(draw, 200) : 1;
    terms[t].amplitude = (t == 0 ? 0.2 : 0.3) * spread(100 + t, 0.7);
    for (std::size_t i = 0; i < usual.size(); ++i)
      terms[t].scales.push_back(usual[i] * (t == 0 ? 1 : 2) * spread(t * 20 + i, 1.2));
  }
  return terms;
}

/// A likeness beside another.
std::vector<Likeness> near(std::vector<Likeness> terms, std::size_t draw) {
  std::size_t dimension = 0;
  const auto spread = [&](double width) { return std::exp(width * 2 * (uniform(draw, dimension++) - 0.5)); };
  for (Likeness& t : terms) {
    t.amplitude *= spread(0.3);
    for (double& scale : t.scales) scale *= spread(0.6);
  }
  return terms;
}

/// One family being fitted.
class Fitter {
 public:
  Fitter(const FamilyRows& family, const Machine& m, FittedFamily& out) : family_(family), machine_(m), out_(out) {
    std::set<std::string> words;
    for (const CalibrationRow& r : family.rows) {
      std::istringstream variant(impl_and_variant(r.impl).second);
      for (std::string word; variant >> word;) words.insert(word);
    }
    out_.words.assign(words.begin(), words.end());
    std::set<std::string> covers;
    for (const CalibrationRow& r : family.rows) covers.insert(railcast::family(r.shape));
    out_.covers.assign(covers.begin(), covers.end());
    us_.resize(at(family.rows.size()));
    for (std::size_t i = 0; i < family.rows.size(); ++i) us_(at(i)) = family.rows[i].us;
  }

  void choose_prices(const Ids& rows) {
    Values best;
    double least = INFINITY;
    TileChoice chosen{};
    const std::vector<TileChoice> inferred{TileChoice::fewest_waves, TileChoice::fullest_wave, TileChoice::least_time};
    for (const TileChoice c : out_.impl == "railcast" ? std::vector{TileChoice::own_rule} : inferred) {
      out_.choice = c;
      out_.prices = settle(rows, best);
      anchor(rows);
      const double spread = smoothed(log_rest(rows), drawn(out_.form, 0)).score;
      if (spread < least) least = spread, chosen = c, best = out_.prices;
      if (out_.form != Form::tiles) break;
    }
    out_.choice = chosen, out_.prices = best;
  }

  /// Prices, alternating with the choice of tiles where that depends on them.
  Values settle(const Ids& rows, Values prices) const {
    const int rounds = out_.form == Form::tiles && out_.choice == TileChoice::least_time ? 8 : 1;
    for (int i = 0; i < rounds; ++i) prices = priced_once(rows, prices);
    return prices;
  }

  void anchor(const Ids& rows) {
    out_.anchors.clear();
    for (const std::size_t i : rows) out_.anchors.push_back(place(i));
  }

  VectorXd log_rest(const Ids& rows) const {
    VectorXd y(at(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i)
      y(at(i)) = std::log(us_(at(rows[i])) / priced(out_.prices, features_of(rows[i])));
    return y;
  }

  /// Smooths the rest with each likeness; leave-one-out errors come with the inverse (Rasmussen and Williams, 5.4.2).
  struct Smoothed {
    Smooth smooth;
    VectorXd left_out;
    double score = 0;
  };
  Smoothed smoothed(const VectorXd& y, std::vector<Likeness> terms) const {
    const Index n = y.size();
    MatrixXd k(n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j <= i; ++j) {
        double like = i == j ? kNoise * kNoise : 0;
        for (const Likeness& t : terms)
          like += t(out_.anchors[static_cast<std::size_t>(i)], out_.anchors[static_cast<std::size_t>(j)]);
        k(i, j) = k(j, i) = like;
      }
    const MatrixXd inverse = k.llt().solve(MatrixXd::Identity(n, n));
    Smoothed s;
    s.smooth.terms = std::move(terms);
    s.smooth.mean = quantile({y.data(), y.data() + n}, 0.5);
    const VectorXd weights = inverse * (y.array() - s.smooth.mean).matrix();
    s.smooth.weights.assign(weights.data(), weights.data() + n);
    s.left_out = weights.cwiseQuotient(inverse.diagonal());
    s.score = score(s.left_out);
    return s;
  }

  /// Median and 90th percentile, the median three times: what a user sees of a fit.
  static double score(const VectorXd& errors) {
    const VectorXd size = errors.cwiseAbs();
    const std::vector<double> e{size.data(), size.data() + size.size()};
    return 3 * quantile(e, 0.5) + quantile(e, 0.9);
  }

  void smooth(const Ids& rows) {
    anchor(rows);
    const VectorXd y = log_rest(rows);
    std::vector<Smoothed> tried;
    const auto sort = [&] { std::ranges::stable_sort(tried, {}, &Smoothed::score); };
    for (std::size_t d = 0; d < kDraws; ++d) tried.push_back(smoothed(y, drawn(out_.form, d)));
    for (std::size_t d = 0; d < kNearby; ++d) {
      sort();
      tried.push_back(smoothed(y, near(tried[d % kParents].smooth.terms, kDraws + d)));
    }
    sort();
    out_.rests.assign(y.data(), y.data() + y.size());
    out_.names.clear();
    for (const std::size_t i : rows) {
      const CalibrationRow& r = family_.rows[i];
      out_.names.push_back(describe(r.shape) + " on " + std::to_string(r.sms) + " SMs, " + r.where);
    }
    out_.smooths.clear();
    for (std::size_t i = 0; i < kAveraged; ++i) out_.smooths.push_back(std::move(tried[i].smooth));
  }

  /// As smooth(), with the likenesses that are there.
  void smooth_again(const Ids& rows) {
    anchor(rows);
    const VectorXd y = log_rest(rows);
    for (Smooth& s : out_.smooths) s = smoothed(y, s.terms).smooth;
  }

  void price_again(const Ids& rows) { out_.prices = settle(rows, out_.prices); }

 private:
  Values features_of(std::size_t i) const {
    const Problem p = problem_of(family_.rows[i]);
    return features(machine_, p, chosen_tile(machine_, p, out_.choice, out_.prices));
  }
  Values place(std::size_t i) const {
    const Problem p = problem_of(family_.rows[i]);
    return coordinates(machine_, p, chosen_tile(machine_, p, out_.choice, out_.prices),
                       variant_among(out_.words, p.variant));
  }
  Values priced_once(const Ids& rows, const Values& prices) const {
    MatrixXd a;
    VectorXd b(at(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Problem p = problem_of(family_.rows[rows[i]]);
      const Values f = features(machine_, p, chosen_tile(machine_, p, out_.choice, prices));
      if (a.size() == 0) a.resize(at(rows.size()), at(f.size()));
      a.row(at(i)) = Eigen::Map<const Eigen::RowVectorXd>(f.data(), at(f.size()));
      b(at(i)) = family_.rows[rows[i]].us;
    }
    const VectorXd x = robust_relative(a, b, kKnee);
    return {x.data(), x.data() + x.size()};
  }

  const FamilyRows& family_;
  const Machine& machine_;
  FittedFamily& out_;
  VectorXd us_;
};

Ids all_of(const FamilyRows& f) {
  Ids ids(f.rows.size());
  std::iota(ids.begin(), ids.end(), std::size_t{0});
  return ids;
}

std::size_t fold_of(const CalibrationRow& r) { return hash_of("fold " + describe(r.shape)) % kFolds; }

/// Thirds of the rows by novelty, each with its own quantile; no band is narrower than one nearer the data.
std::vector<Band> bands_of(const CrossValidated& c) {
  Ids order(c.novelty.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, {}, [&](std::size_t i) { return c.novelty[i]; });
  constexpr std::size_t kFewestInBand = 20;
  const std::size_t count = std::clamp<std::size_t>(order.size() / kFewestInBand, 1, 3);
  std::vector<Band> bands;
  for (std::size_t b = 0; b < count; ++b) {
    std::vector<double> errors;
    const std::size_t end = (b + 1) * order.size() / count;
    for (std::size_t i = b * order.size() / count; i < end; ++i) errors.push_back(std::abs(c.log_error[order[i]]));
    const double wide = conformal(std::move(errors));
    bands.push_back({b + 1 == count ? 1 : c.novelty[order[end - 1]], std::max(wide, b > 0 ? bands.back().spread : 0)});
  }
  return bands;
}

FittedFamily fit_family(const FamilyRows& rows, const Machine& m) {
  FittedFamily f;
  f.family = rows.family, f.impl = rows.impl, f.method = rows.method;
  f.form = form_of(rows.rows.front().shape);
  f.rows = static_cast<std::int64_t>(rows.rows.size());
  Fitter fitter(rows, m, f);
  fitter.choose_prices(all_of(rows));
  fitter.smooth(all_of(rows));
  const CrossValidated c = cross_validate(f, rows, m);
  f.bands = bands_of(c);
  std::vector<double> relative;
  for (const double e : c.log_error) relative.push_back(std::abs(std::expm1(e)));
  f.median_error = quantile(relative, 0.5), f.p90_error = quantile(relative, 0.9);
  return f;
}

}  // namespace

std::vector<FamilyRows> by_family(const std::vector<CalibrationRow>& rows) {
  std::map<std::array<std::string, 3>, FamilyRows> found;
  for (const CalibrationRow& r : rows) {
    if (!fittable(r.shape)) continue;
    const std::string impl = impl_and_variant(r.impl).first;
    FamilyRows& f = found[{fit_family(r.shape), impl, r.method}];
    f.family = fit_family(r.shape), f.impl = impl, f.method = r.method;
    f.rows.push_back(r);
  }
  std::vector<FamilyRows> all;
  for (auto& [key, f] : found) all.push_back(std::move(f));
  return all;
}

CrossValidated cross_validate(const FittedFamily& f, const FamilyRows& rows, const Machine& m) {
  CrossValidated c;
  c.log_error.resize(rows.rows.size()), c.novelty.resize(rows.rows.size());
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    Ids others, own;
    for (const std::size_t i : all_of(rows)) (fold_of(rows.rows[i]) == fold ? own : others).push_back(i);
    if (own.empty() || others.size() < kFewestRows / 2) continue;
    FittedFamily without = f;
    Fitter fitter(rows, m, without);
    fitter.price_again(others);
    fitter.smooth_again(others);
    for (const std::size_t i : own) {
      const CalibrationRow& r = rows.rows[i];
      const Estimated e = estimate(without, m, problem_of(r));
      c.log_error[i] = std::log(e.us / r.us), c.novelty[i] = e.novelty;
    }
  }
  return c;
}

Fit fit(const FitPart& part, const Machine& m) {
  Fit f;
  f.chip = m.chip();
  for (const FamilyRows& rows : by_family(part.rows()))
    if (rows.rows.size() >= kFewestRows) f.families.push_back(fit_family(rows, m));
  return f;
}

}  // namespace railcast
