// Costs from a fit: priced features of the Shape, times what lies near it in the data, with an interval.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/forms.hpp"

namespace railcast {

/// amplitude^2 exp(-(distance of a and b in units of the scales)^power)
struct Likeness {
  double amplitude = 0, power = 1;
  Values scales;
  double operator()(const Values& a, const Values& b) const;
};

/// What the prices leave over, smoothed over the rows: mean + sum of weight x likeness. The mean of several smoothings.
struct Smooth {
  std::vector<Likeness> terms;
  double mean = 0;
  Values weights;  ///< by anchor
};

/// Up to this novelty (0: at a row of the fit, 1: far from all), 90 % of cross-validated rows were within e^spread.
struct Band {
  double novelty = 1, spread = 0;
};

struct FittedFamily {
  std::string family, impl, method;  ///< as CalibrationRow's, family() of its shape
  Form form = Form::work;
  TileChoice choice = TileChoice::fewest_waves;
  Values prices;
  std::vector<std::string> words;   ///< of its rows' variants, sorted: a version, a data type
  std::vector<std::string> covers;  ///< family() of its rows' shapes, sorted
  std::vector<Values> anchors;      ///< coordinates of the rows fitted to
  std::vector<std::string> names;   ///< of those rows: shape, SMs, file and line
  Values rests;                     ///< ln(measured / priced) of those rows
  std::vector<Smooth> smooths;
  std::vector<Band> bands;
  std::int64_t rows = 0;
  double median_error = 0, p90_error = 0;  ///< cross-validated, relative
};

struct Fit {
  std::string device, source;
  Chip chip;  ///< measured on
  std::vector<FittedFamily> families;
  const FittedFamily* find(const std::string& family, const std::string& impl, const std::string& method) const;
};

/// `spread`: 90 % of measurements are expected within a factor e^spread of `us`.
struct Estimated {
  double us = 0, spread = 0, novelty = 0;
};
/// A variant of unknown words counts as novel.
Estimated estimate(const FittedFamily& f, const Machine& m, const Problem& p);
Problem problem_of(const CalibrationRow& r);

/// The `most` rows of the fit that are most like a problem, most alike first; `likeness` 1: the same.
struct Neighbour {
  std::string row;
  double likeness = 0, rest = 0;
};
std::vector<Neighbour> neighbours(const FittedFamily& f, const Machine& m, const Problem& p, std::size_t most);

/// Sustained costs from a fit where it covers a shape, by the impl that the machine names or else railcast's own;
/// `otherwise` of what it does not. Of another chip than the machine's: scaled, extrapolated, with a roofline's spread.
std::unique_ptr<CostModel> fitted(const Machine& m, Fit f, const std::string& path,
                                  std::unique_ptr<CostModel> otherwise);

/// How unlike all anchors a place is, 0 to 1.
double novelty(const std::vector<Likeness>& terms, const std::vector<Values>& anchors, const Values& at);
double spread_at(const std::vector<Band>& bands, double novelty);
/// "NCCL 2.27.3 half" is the variant "2.27.3 half" of NCCL, "cublaslt_bf16" is cublaslt (its shapes say the type), and
/// "railcast uneven" railcast (its rows say how).
std::pair<std::string, std::string> impl_and_variant(const std::string& impl);
/// Positions among `words` of the variant's first and second word; one past the end where it is unknown.
Variant variant_among(const std::vector<std::string>& words, const std::string& variant);

}  // namespace railcast
