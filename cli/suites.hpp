// The cases of `railcast validate`, by suite.
#pragma once
#include <string>
#include <vector>

#include "cli/forecast.hpp"
#include "validate/compare.hpp"
#include "validate/split.hpp"

namespace railcast {

/// Rows measured by railcast's own kernels (validate/measured), held out by a hash of the shape; the GEMMs at SM counts
/// and beside copies that their fit has not seen; timings of others (validate/published).
std::vector<Case> kernel_cases();
/// Published exchanges, scenarios/network's "expect" blocks, NCCL timings held out.
std::vector<Case> network_cases();
/// scenarios/train's "expect" blocks and validate/published/training.json.
std::vector<Case> training_cases();

/// What a suite's summary is held to; 0: not stated.
struct Bound {
  std::string suite;
  double median_error = 0, p90_error = 0, bias = 0, least_coverage = 0, most_coverage = 0;
  bool broken_by(const Summary& s) const;
};
std::vector<Bound> stated_bounds();

/// validate/FOLDER of the source tree or of RAILCAST_HOME.
std::string validate_folder(const std::string& folder);

/// Sources name files below the folder of scenarios/ and validate/: the same text on every machine.
std::string portable(std::string text);

/// The figure of a forecast step with its interval, where there is one: the step's, or what follows from it by a ratio.
Case step_case(const Scenario& s, const Forecast& f, const Expectation& e);

}  // namespace railcast
