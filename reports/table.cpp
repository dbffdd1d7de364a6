#include "reports/table.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace railcast {
namespace {

void end_line(std::string& out) {
  while (!out.empty() && out.back() == ' ') out.pop_back();
  out += '\n';
}

}  // namespace

std::size_t shown_width(const std::string& text) {
  std::size_t width = 0;
  bool code = false;
  for (char c : text) {
    if (c == '\033') code = true;
    if (!code) ++width;
    if (code && c == 'm') code = false;
  }
  return width;
}

std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  if (width == 0 || shown_width(text) <= width) return {text};
  std::vector<std::string> lines(1);
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    std::string& last = lines.back();
    if (last.empty())
      last = word;
    else if (shown_width(last) + 1 + shown_width(word) <= width)
      last += ' ' + word;
    else
      lines.push_back(word);
  }
  return lines;
}

void Table::row(std::vector<std::string> cells) {
  if (cells.size() > align_.size()) throw std::logic_error("a row has more cells than the table has columns");
  rows_.push_back({std::move(cells), false});
}

void Table::line(std::string text) { rows_.push_back({{std::move(text)}, true}); }

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths(align_.size(), 0);
  for (const Row& r : rows_) {
    if (r.raw) continue;
    for (std::size_t c = 0; c < r.cells.size(); ++c) widths[c] = std::max(widths[c], shown_width(r.cells[c]));
  }
  if (wrap_ > 0) widths.back() = std::min(widths.back(), wrap_);
  return widths;
}

void Table::print(std::string& out, const Row& r, const std::vector<std::size_t>& widths) const {
  out.append(indent_, ' ');
  std::size_t left = indent_;
  for (std::size_t c = 0; c < r.cells.size(); ++c) {
    const std::size_t pad = widths[c] - std::min(widths[c], shown_width(r.cells[c]));
    if (c > 0) out += "  ", left += 2;
    if (align_[c] == 'r') out.append(pad, ' ');
    if (c + 1 < align_.size() || wrap_ == 0) {
      out += r.cells[c];
    } else {
      const std::vector<std::string> lines = wrapped(r.cells[c], wrap_);
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) end_line(out), out.append(left, ' ');
        out += lines[i];
      }
    }
    if (align_[c] == 'l') out.append(pad, ' ');
    left += widths[c];
  }
  end_line(out);
}

std::string Table::text() const {
  const std::vector<std::size_t> w = widths();
  std::string out;
  for (const Row& r : rows_) {
    if (r.raw)
      out += r.cells[0], end_line(out);
    else
      print(out, r, w);
  }
  return out;
}

}  // namespace railcast
