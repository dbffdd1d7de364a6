// "workload.train.routing", and the routing files that `balance` takes.
#pragma once
#include <string>
#include <vector>

#include "cli/json.hpp"
#include "model/routing.hpp"
#include "model/step_loads.hpp"

namespace railcast {

/// Where the tokens go, by window (one, unless the file or the generator has more). Keys:
///   "file"       counts, [layers x experts] or [windows x layers x experts]: .npy, .csv or .json
///   "token_ids"  experts by token, [tokens x top_k] or [layers x tokens x top_k]
///   "generator"  uniform, zipf (exponent), dirichlet (concentration), drifting (spread, memory),
///                domains (domains, concentration); seed, windows; "gate": true sends sampled tokens through the gate
/// `tokens` is what a generator's layer counts: those of a whole group and micro-batch.
std::vector<Routing> read_routing(JsonObject o, const Transformer& t, std::int64_t tokens);
/// Counts, token ids (`ids`), or a JSON object with the keys above.
std::vector<Routing> load_routing(const std::string& path, bool ids, const Transformer& t, std::int64_t tokens);

/// How experts are placed: contiguous, eplb or improved (improve() from eplb's), with GPUs of the plan's
/// expert-parallel group and groups of the model's gate.
Placement place(const std::string& policy, const Routing& r, const PlacementSpec& p);
/// The plan's group; `redundant` replicas more than there are experts.
PlacementSpec placement_spec(const Scenario& s, std::int64_t redundant);

/// Reads "routing" of `train` into s.train.expert_loads: the first window, with "placement" of place() (contiguous
/// where none is given; replicas are for serving, as training would sum their gradients).
void read_train_routing(JsonObject& train, Scenario& s);

}  // namespace railcast
