// deepep.json -> ExchangeKernels, and the published figures that they are fitted to and held against.
#pragma once
#include <string>
#include <vector>

#include "model/exchange_kernels.hpp"
#include "validate/exchange_fit.hpp"

namespace railcast {

/// Members {"value": "1.8 us", "source": "..."}; not known() where the file does not exist.
ExchangeKernels load_exchange_kernels(const std::string& path);

/// {"source": ..., "rows": [...]}: each row a dispatch or a combine, for the fit or held out.
std::vector<PublishedExchange> load_published_exchanges(const std::string& path);

}  // namespace railcast
