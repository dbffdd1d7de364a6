#include "model/spread.hpp"

#include <algorithm>
#include <cmath>

namespace railcast {

double conformal(std::vector<double> errors) {
  if (errors.empty()) return 0;
  for (double& e : errors) e = std::abs(e);
  std::ranges::sort(errors);
  const auto rank = static_cast<std::size_t>(std::ceil(0.9 * static_cast<double>(errors.size() + 1)));
  return errors[std::min(errors.size(), rank) - 1];
}

}  // namespace railcast
