#include "cli/result.hpp"

#include "cli/all_to_all.hpp"
#include "cli/exchange.hpp"
#include "cli/forecast.hpp"
#include "cli/load_scenario.hpp"
#include "cli/moe_layer.hpp"
#include "reports/json.hpp"

namespace railcast {

std::string result_json(const std::string& scenario, const std::vector<std::string>& set) {
  if (is_exchange(scenario, set)) {
    const ExchangeScenario s = load_exchange(scenario, set);
    return exchange_json(s, forecast(s));
  }
  if (is_all_to_all(scenario, set)) {
    const AllToAllScenario s = load_all_to_all(scenario, set);
    return all_to_all_json(s, forecast(s));
  }
  if (is_moe_layer(scenario, set)) {
    const MoeLayerScenario s = load_moe_layer(scenario, set);
    return moe_layer_json(s, forecast(s));
  }
  const Scenario s = load_scenario(scenario, set);
  return run_json(s, forecast(s).metrics, {});
}

}  // namespace railcast
