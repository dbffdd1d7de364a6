#include "reports/format.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace railcast {
namespace {

std::string printed(double value, int decimals) {
  std::array<char, 400> text{};  // the largest double has 309 digits
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

/// The value over the largest scale it reaches (the last one where it reaches none), with that scale's unit.
template <std::size_t N>
std::string scaled(double value, const std::array<std::pair<double, const char*>, N>& scales, int digits) {
  // 0.99995 of a scale prints as the whole of it.
  std::size_t i = 0;
  while (i + 1 < N && std::abs(value) < scales[i].first * 0.99995) ++i;
  return significant(value / scales[i].first, digits) + " " + scales[i].second;
}

bool ends(std::string_view text, std::string_view with) {
  return text.size() >= with.size() && text.substr(text.size() - with.size()) == with;
}

}  // namespace

std::string significant(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return printed(value, 0);
  const auto magnitude = static_cast<int>(std::floor(std::log10(std::abs(value) * (1 + 0.5 * std::pow(10, -digits)))));
  return printed(value, std::max(0, digits - 1 - magnitude));
}

std::string duration_text(double s) {
  static constexpr std::array<std::pair<double, const char*>, 4> scales{
      {{1, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}}};
  return s == 0 ? "0 s" : scaled(s, scales, 4);
}

std::string bytes_text(double b) {
  static constexpr std::array<std::pair<double, const char*>, 5> scales{
      {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}}};
  return b == 0 ? "0 B" : scaled(b, scales, 3);
}

std::string count_text(double n) {
  static constexpr std::array<std::pair<double, const char*>, 4> scales{
      {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}}};
  if (std::abs(n) >= 1e5) return scaled(n, scales, 4);
  return n == std::floor(n) ? printed(n, 0) : significant(n, 4);
}

std::string flops_text(double n) {
  static constexpr std::array<std::pair<double, const char*>, 4> scales{
      {{1e12, "TFLOP"}, {1e9, "GFLOP"}, {1e6, "MFLOP"}, {1, "FLOP"}}};
  return n == 0 ? "0 FLOP" : scaled(n, scales, 4);
}

// What rounds to nothing has no sign.
std::string percent_text(double fraction) {
  return printed(std::abs(fraction) < 0.0005 ? 0 : fraction * 100, 1) + " %";
}

std::string metric_text(std::string_view metric, double value) {
  if (ends(metric, "per_s")) return count_text(value);
  if (ends(metric, "_s")) return duration_text(value);
  if (metric == "flops_per_token") return flops_text(value);
  if (ends(metric, "bytes") || metric.find("by_category") != metric.npos) return bytes_text(value);
  if (metric.substr(0, 4) == "mfu_" || metric.substr(0, 11) == "provenance.") return percent_text(value);
  return count_text(value);
}

std::string inked(const std::string& text, Ink ink, bool on) {
  static constexpr std::array<const char*, 4> codes{"1", "32", "31", "2"};
  return on ? std::string("\033[") + codes[static_cast<std::size_t>(ink)] + "m" + text + "\033[0m" : text;
}

}  // namespace railcast
