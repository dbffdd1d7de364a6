// What the step time would gain, per 1 % of each thing it rests on and per choice of the plan.
#pragma once
#include <string>
#include <vector>

#include "cli/forecast.hpp"
#include "reports/sensitivity.hpp"

namespace railcast {

/// Re-times the folded step for the bases (model/retime.hpp) and re-plans for the choices.
Sensitivity sensitivity(const Scenario& s, const Forecast& f);

}  // namespace railcast
