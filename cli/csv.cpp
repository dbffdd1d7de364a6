#include "cli/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/json.hpp"

namespace railcast {
namespace {

template <class T>
T parsed(const CsvTable& t, const Cells& cells, const std::string& column) {
  const std::string& text = cells.at(column);
  T value{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || rest != text.data() + text.size()) {
    t.refuse("the cell \"" + text + "\" of column " + column + " is not a number");
  }
  return value;
}

}  // namespace

CsvTable::CsvTable(const std::string& path, const std::vector<std::string>& facts)
    : CsvTable(path, read_text(path), facts) {}

CsvTable::CsvTable(const std::string& path, std::string text, const std::vector<std::string>& facts)
    : path_(path), text_(std::move(text)) {
  bool any = next_line();
  for (; any && line_.starts_with("#"); any = next_line()) read_comment();
  if (!any) refuse("the table has no line of column names; is the file truncated?");
  for (const std::string& key : facts) {
    if (!facts_.contains(key)) refuse("the header has no \"# " + key + ": ...\" line; add it");
  }
  columns_ = split();
}

void CsvTable::expect_columns(const std::vector<std::string>& wanted) const {
  if (columns_ != wanted) refuse("expected the columns " + listed(wanted) + "; found " + listed(columns_));
}

bool CsvTable::next(Cells& cells) {
  if (!next_line()) return false;
  const auto values = split();
  if (values.size() != columns_.size()) {
    refuse("expected " + std::to_string(columns_.size()) + " cells, found " + std::to_string(values.size()) +
           "; is the file truncated?");
  }
  for (std::size_t i = 0; i < values.size(); ++i) cells[columns_[i]] = values[i];
  return true;
}

bool CsvTable::has(const std::string& column) const {
  return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
}

std::string CsvTable::fact(const std::string& key) const {
  const auto found = facts_.find(key);
  return found == facts_.end() ? "" : found->second;
}

void CsvTable::refuse(const std::string& what) const { throw BadInput(where(), "", what); }

bool CsvTable::next_line() {
  if (at_ >= text_.size()) return false;
  const std::size_t end = text_.find('\n', at_);
  ++number_;
  if (end == std::string::npos) refuse("the last line has no end; is the file truncated?");
  line_ = text_.substr(at_, end - at_);
  if (line_.ends_with('\r')) line_.pop_back();
  at_ = end + 1;
  return true;
}

void CsvTable::read_comment() {
  const std::size_t colon = line_.find(": ");
  if (colon == std::string::npos) return;
  facts_.emplace(line_.substr(2, colon - 2), line_.substr(colon + 2));
}

std::vector<std::string> CsvTable::split() const {
  std::vector<std::string> cells(1);
  for (const char c : line_) {
    if (c == ',') {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  return cells;
}

std::int64_t count_cell(const CsvTable& t, const Cells& cells, const std::string& column, std::int64_t least) {
  const auto v = parsed<std::int64_t>(t, cells, column);
  if (v < least)
    t.refuse("column " + column + " is " + std::to_string(v) + "; expected at least " + std::to_string(least));
  return v;
}

double positive_cell(const CsvTable& t, const Cells& cells, const std::string& column) {
  const auto v = parsed<double>(t, cells, column);
  if (!std::isfinite(v) || v <= 0) t.refuse("column " + column + " is " + cells.at(column) + "; expected more than 0");
  return v;
}

std::string cell_of(const CsvTable& t, const Cells& cells, const std::string& column,
                    const std::vector<std::string>& allowed) {
  const std::string& v = cells.at(column);
  if (std::find(allowed.begin(), allowed.end(), v) != allowed.end()) return v;
  t.refuse("column " + column + " is \"" + v + "\"; expected one of " + listed(allowed) + did_you_mean(v, allowed));
}

Dtype dtype_cell(const CsvTable& t, const Cells& cells, const std::vector<Dtype>& allowed) {
  std::vector<std::string> names;
  for (const Dtype d : allowed) names.emplace_back(name(d));
  const std::string v = cell_of(t, cells, "dtype", names);
  return allowed[static_cast<std::size_t>(std::find(names.begin(), names.end(), v) - names.begin())];
}

void Keys::add(const CsvTable& t, Cells cells, const std::vector<std::string>& measured) {
  for (const std::string& column : measured) cells.erase(column);
  if (!seen_.insert(std::move(cells)).second) t.refuse("this key stands twice; keep one row");
}

}  // namespace railcast
