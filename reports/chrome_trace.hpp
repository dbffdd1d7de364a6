// Chrome's (Kineto's) JSON trace: the same slices as the Perfetto one, times in microseconds to the picosecond.
#pragma once
#include <ostream>

#include "reports/timeline.hpp"

namespace railcast {

void write_chrome_trace(std::ostream& out, const TrainStep& s, const Timeline& t);

}  // namespace railcast
