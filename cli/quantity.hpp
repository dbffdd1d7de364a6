// Quantities in files are text with a unit: "400 Gb/s", "3.35 TB/s", "989.5 TFLOP/s", "5 us", "80 GB", "10 %".
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace railcast {

enum class Dimension : std::uint8_t { bytes, byte_rate, flop_rate, time, fraction };

/// The value in SI units (bytes, bytes/s, FLOP/s, seconds; fraction: 0.1 for "10 %").
/// Throws std::invalid_argument saying what was expected where the unit is missing, unknown or of another dimension,
/// or the number is negative or not finite.
double parse_quantity(const std::string& text, Dimension d);

/// The candidate nearest to `word` by edit distance, or empty where none is near (at most a third of its letters,
/// two at least).
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);
/// "a, b, c"
std::string listed(const std::vector<std::string>& words);
/// `; did you mean "candidate"?` or empty.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace railcast
