// scenario.json -> Scenario. Strict: unknown keys, missing units and impossible values throw BadInput.
#pragma once
#include <string>
#include <vector>

#include "cli/json.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// The folder of presets, models and machines: $RAILCAST_HOME/scenarios, or the source tree's.
std::string scenarios_folder();

/// `overrides` are "plan.ep=32": the dotted path of a key and its new value (JSON, or text), put into the document
/// before it is read. "model" is a path, sought beside the scenario, then in the scenarios folder; "machine" a name or
/// a path.
Scenario load_scenario(const std::string& path, const std::vector<std::string>& overrides = {});

/// Calibrated where the machine has tables, else the roofline.
std::shared_ptr<const CostModel> scenario_costs(const Machine& m);

// What scenarios of every workload share.

/// The scenario's JSON with the overrides put in.
nlohmann::json scenario_document(const std::string& path, const std::vector<std::string>& overrides);
/// Its "machine": a name, a path sought beside the scenario first, or {"name": either, KEY: a value of machine.json
/// changed}; then its "fabric".
Machine scenario_machine(JsonObject& scenario);
/// Refuses a fabric that cannot be, by its key.
void check_fabric(const std::string& path, const Machine& m, std::int64_t nodes);
/// Its "expect" list, or none. A metric's name ends in its unit.
std::vector<Expectation> scenario_expectations(JsonObject& scenario);

/// The Schedule that a name stands for; throws BadInput.
Schedule schedule_named(const std::string& name, const std::string& file);

}  // namespace railcast
