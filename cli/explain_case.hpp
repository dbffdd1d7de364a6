// `railcast validate --explain ID`: what a case's error and interval rest on.
#pragma once
#include <string>

namespace railcast {

/// A step: which kinds of kernel its time and its interval hang on, and the calibration rows behind them. A GEMM: its
/// priced features, and the rows of the fit nearest to it. Returns the exit code; BadInput where no case has the id.
int explain_case(const std::string& id);

}  // namespace railcast
