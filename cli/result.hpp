// From a scenario of any workload to its figures, as `run --json` writes them.
#pragma once
#include <string>
#include <vector>

namespace railcast {

std::string result_json(const std::string& scenario, const std::vector<std::string>& set);

}  // namespace railcast
