// Which shapes are worth measuring: those whose interval costs a step most.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "model/scenario.hpp"

namespace railcast {

struct Worth {
  std::string line;    ///< as `railcast-measure --shapes` takes it: "gemm,4096,7168,2048"
  double seconds = 0;  ///< spread of ln(time) x the time of the shape in a MoE layer's forward and backward
};

/// The GEMM-like shapes of the scenario's last layer, most first. `cost` gives a shape's seconds and spread.
struct Uncertain {
  double seconds = 0, spread = 0;
};
std::vector<Worth> worth_measuring(const Scenario& s, const std::function<Uncertain(const Shape&)>& cost);

}  // namespace railcast
