#include "model/cite.hpp"

#include <algorithm>
#include <string_view>

namespace railcast {

void cite(std::string& sources, const std::string& where) {
  if (sources.empty()) {
    sources = where;
    return;
  }
  const std::size_t card = std::min(where.find(" ("), where.size());
  const std::size_t colon = where.rfind(':', card);
  const std::size_t last = sources.rfind("; ");
  const std::string_view previous = std::string_view(sources).substr(last == std::string::npos ? 0 : last + 2);
  const std::string_view all = where;
  if (colon != std::string::npos && previous.starts_with(all.substr(0, colon + 1)) &&
      previous.ends_with(all.substr(card)) && previous.find(" (") + all.size() - card == previous.size()) {
    sources.insert(sources.size() - (all.size() - card), "," + where.substr(colon + 1, card - colon - 1));
  } else {
    sources += "; " + where;
  }
}

}  // namespace railcast
