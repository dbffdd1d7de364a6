// fit.json: what `railcast fit` writes and costs are made from.
#pragma once
#include <string>

#include "model/fitted.hpp"

namespace railcast {

std::string fit_json(const Fit& f);
/// Strict. BadInput names file and pointer.
Fit load_fit(const std::string& path);

}  // namespace railcast
