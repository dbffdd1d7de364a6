// Numbers as a person reads them: four significant digits and the unit. ASCII only; decimal prefixes (80 GB = 80e9 B).
#pragma once
#include <string>
#include <string_view>

namespace railcast {

/// "%.*g" with trailing zeros kept, never an exponent below 1e6: significant(19.9264, 4) is "19.93".
std::string significant(double value, int digits);
std::string duration_text(double seconds);  ///< "19.93 s", "31.30 ms", "12.30 us"
std::string bytes_text(double bytes);       ///< "60.3 GB"
std::string count_text(double count);       ///< "3.157 M", "272.8 B" (1e9), "2.448 T"; below 1e5 as it is
std::string flops_text(double flops);       ///< "250.1 GFLOP"
std::string percent_text(double fraction);  ///< "43.7 %"
/// By the metric's JSON name, which ends in its unit ("step_time_s", "memory.peak_bytes", "mfu_causal").
std::string metric_text(std::string_view metric, double value);

/// Text in a terminal's colour where `on`.
enum class Ink { bold, green, red, dim };
std::string inked(const std::string& text, Ink ink, bool on);

}  // namespace railcast
