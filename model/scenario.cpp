#include "model/scenario.hpp"

#include <algorithm>

namespace railcast {

BadInput refused(const std::string& file, const std::string& what, const std::string& otherwise) {
  const auto colon = what.find(": ");
  std::string pointer = "/" + what.substr(0, colon);
  const bool keyed =
      pointer.starts_with("/plan.") || pointer.starts_with("/fabric.") || pointer.starts_with("/machine.");
  if (!keyed || colon == std::string::npos) return {file, otherwise, what};
  std::ranges::replace(pointer, '.', '/');
  return {file, pointer, what.substr(colon + 2)};
}

}  // namespace railcast
