// Perfetto's protobuf trace (perfetto/protos/perfetto/trace/*.proto): TrackEvents, encoded by hand. Opens in
// ui.perfetto.dev. A process per simulated rank, a track per lane; time in nanoseconds.
#pragma once
#include <ostream>

#include "reports/timeline.hpp"

namespace railcast {

void write_perfetto(std::ostream& out, const TrainStep& s, const Timeline& t);

}  // namespace railcast
