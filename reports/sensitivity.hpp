// The table of `run --sensitivity`.
#pragma once
#include <string>
#include <vector>

namespace railcast {

/// d ln(step time) / d ln(rate): -0.4 says that 1 % faster takes 0.4 % off the step. low and high: the least and the
/// most over samples of what the costs' intervals allow.
struct Elasticity {
  std::string what;
  double value = 0, low = 0, high = 0;
};

/// A choice of the plan tried: its step time, or why there is none.
struct Choice {
  std::string what, reason;
  double step_time_s = 0;
};

struct Sensitivity {
  double step_time_s = 0, step_low_s = 0, step_high_s = 0;
  std::vector<Elasticity> bases;   ///< disjoint: they sum to -1
  std::vector<Elasticity> groups;  ///< of several bases at once: shown, not to be added to the bases
  std::vector<Choice> choices;
  double sum() const;
};

std::string sensitivity_text(const Sensitivity& s, bool colour);
std::string sensitivity_json(const Sensitivity& s);

}  // namespace railcast
