#include "validate/fit_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "reports/format.hpp"

namespace railcast {
namespace {

constexpr double kWidth = 420, kHeight = 300, kMargin = 42;

std::string number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", x);
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return out;
}

/// Log of the measured time across; what stands upright is `y`, between `low` and `high`.
struct Axes {
  double left = 0, right = 1, low = 0, high = 1;
  double x(double us) const { return kMargin + (std::log10(us) - left) / (right - left) * (kWidth - 2 * kMargin); }
  double y(double v) const { return kHeight - kMargin - (v - low) / (high - low) * (kHeight - 2 * kMargin); }
};

std::string line(double x1, double y1, double x2, double y2, const char* colour) {
  return "<line x1='" + number(x1) + "' y1='" + number(y1) + "' x2='" + number(x2) + "' y2='" + number(y2) +
         "' stroke='" + colour + "'/>";
}

std::string label(double x, double y, const std::string& text, const char* anchor) {
  return "<text x='" + number(x) + "' y='" + number(y) + "' text-anchor='" + anchor + "'>" + escaped(text) + "</text>";
}

std::string point(const Axes& a, const Case& c, double v) {
  const double shown = std::clamp(v, a.low, a.high);
  return "<circle cx='" + number(a.x(c.truth)) + "' cy='" + number(a.y(shown)) + "' r='2.5' class='" +
         (c.fitted ? "fit" : "held") + "'><title>" + escaped(c.id) + ": " + duration_text(c.forecast * 1e-6) +
         ", measured " + duration_text(c.truth * 1e-6) + "</title></circle>";
}

Axes axes_of(const std::vector<Case>& cases) {
  Axes a{INFINITY, -INFINITY, 0, 0};
  for (const Case& c : cases)
    a.left = std::min(a.left, std::floor(std::log10(c.truth))),
    a.right = std::max(a.right, std::ceil(std::log10(c.truth)));
  if (a.right <= a.left) a.right = a.left + 1;
  a.low = a.left, a.high = a.right;
  return a;
}

std::string frame(const Axes& a, const std::string& upright) {
  std::string s = "<svg width='" + number(kWidth) + "' height='" + number(kHeight) + "'>";
  s += line(kMargin, kHeight - kMargin, kWidth - kMargin, kHeight - kMargin, "#888");
  s += line(kMargin, kMargin, kMargin, kHeight - kMargin, "#888");
  for (double e = a.left; e <= a.right; ++e)
    s += label(a.x(std::pow(10, e)), kHeight - kMargin + 16, duration_text(std::pow(10, e) * 1e-6), "middle");
  return s + label(kWidth / 2, kHeight - 6, "measured", "middle") + label(8, 20, upright, "start");
}

std::string against_measured(const std::vector<Case>& cases) {
  const Axes a = axes_of(cases);
  std::string s = frame(a, "forecast");
  s += line(a.x(std::pow(10, a.left)), a.y(a.left), a.x(std::pow(10, a.right)), a.y(a.right), "#bbb");
  for (const Case& c : cases) s += point(a, c, std::log10(c.forecast));
  return s + "</svg>";
}

std::string residuals(const std::vector<Case>& cases) {
  Axes a = axes_of(cases);
  a.low = -0.5, a.high = 0.5;
  std::string s = frame(a, "error");
  for (const double e : {-0.5, -0.25, 0.0, 0.25, 0.5}) {
    s += line(kMargin, a.y(e), kWidth - kMargin, a.y(e), e == 0 ? "#888" : "#eee");
    s += label(kMargin - 4, a.y(e) + 4, percent_text(e), "end");
  }
  for (const Case& c : cases) s += point(a, c, c.error());
  return s + "</svg>";
}

}  // namespace

std::string fit_report_html(const std::string& title, const std::vector<FitPlot>& plots,
                            const std::vector<std::string>& next) {
  std::string page = "<!doctype html><html><head><meta charset='utf-8'><title>" + escaped(title) +
                     "</title><style>body{font:14px sans-serif;margin:2em}text{font-size:11px}.fit{fill:#9bbfe0}"
                     ".held{fill:#d1495b}</style></head><body><h1>" +
                     escaped(title) +
                     "</h1><p>Blue: rows fitted to. Red: rows held out by the hash of their shape.</p>\n";
  for (const FitPlot& p : plots)
    page += "<h2>" + escaped(p.title) + "</h2>" + against_measured(p.cases) + residuals(p.cases) + "\n";
  page +=
      "<h2>Worth measuring next</h2><p>Shapes of DeepSeek-V3's last layer whose interval costs its step most; lines "
      "for "
      "<code>railcast-measure --shapes FILE</code>.</p><pre>\n";
  for (const std::string& l : next) page += escaped(l) + "\n";
  return page + "</pre></body></html>\n";
}

}  // namespace railcast
