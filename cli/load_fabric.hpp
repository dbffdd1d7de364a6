// "fabric" of a scenario or a machine.json: what joins the nodes, and what is wrong with it.
#pragma once
#include "cli/json.hpp"
#include "model/fabric.hpp"
#include "model/machine.hpp"

namespace railcast {

/// Puts the keys that stand in `fabric` into the machine's topology; "transport" ("ib", "roce") also sets the machine's
/// nic_latency. Keys are Topology's names; times and shares with their units. Ranges are Fabric's to check.
void read_fabric(JsonObject fabric, Machine& m);

}  // namespace railcast
