// A scenario's "expect" block beside the forecast, for workloads whose figures are a list of names and values.
#pragma once
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/scenario.hpp"

namespace railcast {

using Figures = std::map<std::string, double>;  ///< by JSON name, which ends in the unit

/// Throws BadInput at the metric that the forecast does not have, naming those that it has.
void check_expected(const std::string& path, const std::vector<Expectation>& expect, const Figures& figures);
/// A table, or nothing where nothing is expected.
std::string expected_text(const std::vector<Expectation>& expect, const Figures& figures, bool colour);
nlohmann::ordered_json expected_json(const std::vector<Expectation>& expect, const Figures& figures);

}  // namespace railcast
