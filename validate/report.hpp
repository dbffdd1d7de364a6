// Comparisons as text, Markdown and JSON.
#pragma once
#include <string>
#include <vector>

#include "validate/compare.hpp"

namespace railcast {

/// {"median_error", "p90_error", "bias", "coverage", "rows", "left_out"}
std::string summary_json(const Summary& s, const std::vector<std::string>& left_out);
/// The summary and the rows that are off most.
std::string rows_text(const Summary& s, const std::vector<Case>& cases, const std::vector<std::string>& left_out);

/// The whole table by suite: every case, then a line per suite.
std::string validation_text(const std::vector<Case>& cases, const std::vector<Summary>& suites, bool colour);
/// The summary by suite, as the README shows it, and the cases that state a bound or a note.
std::string validation_markdown(const std::vector<Case>& cases, const std::vector<Summary>& suites);
std::string validation_json(const std::vector<Case>& cases, const std::vector<Summary>& suites);

/// "19.9 s (19.2 - 20.7, 90 %)"
std::string with_interval(const std::string& unit, double value, double low, double high);
std::string in_unit(const std::string& unit, double value);

}  // namespace railcast
