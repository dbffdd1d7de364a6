#include "cli/quantity.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace railcast {
namespace {

struct Unit {
  const char* text;
  Dimension dimension;
  double factor;
};

// b is a bit, B a byte; k M G T P decimal, Ki Mi Gi Ti binary.
constexpr Unit kUnits[] = {
    {"B", Dimension::bytes, 1},
    {"kB", Dimension::bytes, 1e3},
    {"MB", Dimension::bytes, 1e6},
    {"GB", Dimension::bytes, 1e9},
    {"TB", Dimension::bytes, 1e12},
    {"KiB", Dimension::bytes, 1024.0},
    {"MiB", Dimension::bytes, 1024.0 * 1024},
    {"GiB", Dimension::bytes, 1024.0 * 1024 * 1024},
    {"TiB", Dimension::bytes, 1024.0 * 1024 * 1024 * 1024},
    {"MB/s", Dimension::byte_rate, 1e6},
    {"GB/s", Dimension::byte_rate, 1e9},
    {"TB/s", Dimension::byte_rate, 1e12},
    {"Mb/s", Dimension::byte_rate, 1e6 / 8},
    {"Gb/s", Dimension::byte_rate, 1e9 / 8},
    {"Tb/s", Dimension::byte_rate, 1e12 / 8},
    {"GFLOP/s", Dimension::flop_rate, 1e9},
    {"TFLOP/s", Dimension::flop_rate, 1e12},
    {"PFLOP/s", Dimension::flop_rate, 1e15},
    {"ps", Dimension::time, 1e-12},
    {"ns", Dimension::time, 1e-9},
    {"us", Dimension::time, 1e-6},
    {"ms", Dimension::time, 1e-3},
    {"s", Dimension::time, 1},
    {"min", Dimension::time, 60},
    {"h", Dimension::time, 3600},
    {"%", Dimension::fraction, 0.01},
};

const char* expected(Dimension d) {
  switch (d) {
    case Dimension::bytes:
      return R"(a size such as "80 GB" or "80 GiB")";
    case Dimension::byte_rate:
      return R"(a bandwidth such as "400 Gb/s" or "3.35 TB/s")";
    case Dimension::flop_rate:
      return R"(a rate of arithmetic such as "989.5 TFLOP/s")";
    case Dimension::time:
      return R"(a time such as "5 us" or "19.926 s")";
    case Dimension::fraction:
      return R"(a percentage such as "10 %")";
  }
  return "";
}

[[noreturn]] void refuse(const std::string& text, const std::string& why, Dimension d) {
  throw std::invalid_argument("\"" + text + "\" " + why + "; expected " + expected(d));
}

std::string did_you_mean_unit(const std::string& unit, Dimension d) {
  std::vector<std::string> same;
  for (const Unit& u : kUnits) {
    if (u.dimension == d) same.emplace_back(u.text);
  }
  return did_you_mean(unit, same);
}

double factor(const std::string& text, const std::string& unit, Dimension d) {
  if (unit.empty()) refuse(text, "has no unit", d);
  const auto* const u =
      std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& k) { return unit == k.text; });
  if (u == std::end(kUnits)) refuse(text, "has an unknown unit \"" + unit + "\"" + did_you_mean_unit(unit, d), d);
  if (u->dimension != d) refuse(text, "is of another kind", d);
  return u->factor;
}

// Levenshtein distance, one row of the table at a time.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

}  // namespace

double parse_quantity(const std::string& text, Dimension d) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range) refuse(text, "is out of range", d);
  if (error != std::errc{}) refuse(text, "does not start with a number", d);
  if (!std::isfinite(number)) refuse(text, "is not a finite number", d);
  if (std::signbit(number)) refuse(text, "is negative", d);
  const char* unit = rest;
  while (unit != end && *unit == ' ') ++unit;
  return number * factor(text, std::string(unit, end), d);
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& c : candidates) {
    const std::size_t d = edit_distance(word, c);
    if (d < distance) {
      distance = d;
      best = c;
    }
  }
  return best;
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string near = nearest(word, candidates);
  return near.empty() ? "" : "; did you mean \"" + near + "\"?";
}

}  // namespace railcast
