// The loads of a step's layers: routing and placement of a whole model.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/loads.hpp"
#include "model/scenario.hpp"

namespace railcast {

/// Where a workload's tokens go: counts, [rows x experts], and, where the tokens themselves were recorded, their
/// experts by row.
struct Routing {
  ExpertCounts counts;
  std::vector<TokenRoutes> routes = {};
  std::string source;  ///< for a person: a file, or what generated them
};
Routing routing_of(std::vector<TokenRoutes> routes, std::int64_t experts, std::string source);

/// Which row of the counts a layer reads, by layer, MTP modules after the others; -1 for a dense layer. Counts have one
/// row (all layers alike), or one for each MoE layer, or for each layer, with or without the MTP modules' (those read
/// the last row where they have none). Throws std::invalid_argument naming the numbers that would do.
std::vector<std::int64_t> rows_by_layer(const Transformer& t, std::int64_t rows);

/// The expert-parallel group of a scenario's plan. Throws std::invalid_argument as LoadModel.
LoadModel load_model(const Scenario& s);

/// By row of the counts. Throws std::invalid_argument where counts and placement are of different sizes.
std::vector<LayerTraffic> layer_traffic(const LoadModel& m, const Routing& r, const Placement& p);

/// By layer, for TrainWorkload::expert_loads.
std::vector<LayerLoad> layer_loads(const Transformer& t, const std::vector<LayerTraffic>& by_row);

}  // namespace railcast
