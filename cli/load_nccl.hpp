// calibration/nccl.json -> Nccl: {"source": ..., "start": "5 us", ...}; every constant of the fit is there.
#pragma once
#include <string>

#include "model/nccl.hpp"

namespace railcast {

/// Not known() where there is no such file. Throws BadInput.
Nccl load_nccl(const std::string& path);

}  // namespace railcast
