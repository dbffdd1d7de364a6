// The models under scenarios/, and the plan of the DeepSeek-V3 report, for tests.
#pragma once
#include <string>

#include "cli/load_model.hpp"
#include "model/plan.hpp"

namespace railcast::tests {

inline Transformer preset(const std::string& name) {
  return load_model(std::string(RAILCAST_SOURCE_DIR) + "/scenarios/models/" + name + ".json");
}

/// arXiv 2412.19437, 3.2: what a layer's shapes and bytes depend on.
inline Plan v3_plan() {
  Plan p;
  p.pp = 16;
  p.ep = 64;
  p.precision = Dtype::fp8_block;
  p.recompute = {"rmsnorm", "mla_up", "swiglu"};
  return p;
}

}  // namespace railcast::tests
