// machine.json -> Machine. Format: docs in scenarios/machines/h100/machine.json; every number beside its source:
// {"nvlink": {"value": "200 GB/s", "source": "arXiv 2505.09343"}, ...}.
#pragma once
#include <string>

#include "cli/json.hpp"
#include "model/machine.hpp"

namespace railcast {

/// `name_or_path`: a folder of `scenarios_dir`/machines, or a path (with a slash) to a machine.json or its folder.
/// Follows compute_from to the calibration tables of that machine. `changes` has bare values in the place of the
/// file's ({"nic": "800 Gb/s"}); a changed nic or nvlink takes its _effective along in proportion. Throws BadInput.
Machine load_machine(const std::string& name_or_path, const std::string& scenarios_dir, JsonObject* changes = nullptr);

/// The machine on which rows were measured: the one named, or the one that the files' device ("NVIDIA H100 ...") names.
Machine measured_machine(const std::string& device, const std::string& said);

}  // namespace railcast
