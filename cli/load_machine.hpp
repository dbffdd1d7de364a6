// machine.json -> Machine. Format: docs in scenarios/machines/h100/machine.json; every number beside its source:
// {"nvlink": {"value": "200 GB/s", "source": "arXiv 2505.09343"}, ...}.
#pragma once
#include <string>

#include "model/machine.hpp"

namespace railcast {

/// `name_or_path`: a folder of `scenarios_dir`/machines, or a path (with a slash) to a machine.json or its folder.
/// Follows compute_from to the calibration tables of that machine. Throws BadInput.
Machine load_machine(const std::string& name_or_path, const std::string& scenarios_dir);

}  // namespace railcast
