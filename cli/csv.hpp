// Strict reading of CSV tables: comment lines with facts, a line of column names, rows of as many cells. Every refusal
// names the file and the line.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "model/shapes.hpp"

namespace railcast {

using Cells = std::map<std::string, std::string>;

/// A CSV file being read: its header's facts ("# device: ...") and, line by line, cells by column name.
class CsvTable {
 public:
  /// Refuses a header without one of the `facts`, and a table without columns.
  CsvTable(const std::string& path, const std::vector<std::string>& facts);
  /// A table made of what another kind of file said; `where()` counts its rows.
  CsvTable(const std::string& path, std::string text, const std::vector<std::string>& facts);
  void expect_columns(const std::vector<std::string>& wanted) const;
  bool next(Cells& cells);
  bool has(const std::string& column) const;
  const std::vector<std::string>& columns() const { return columns_; }
  std::string where() const { return path_ + ":" + std::to_string(number_); }
  const std::string& path() const { return path_; }
  /// Empty where the header does not say.
  std::string fact(const std::string& key) const;
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  bool next_line();
  void read_comment();
  std::vector<std::string> split() const;
  std::string path_, text_, line_;
  std::size_t at_ = 0, number_ = 0;
  std::map<std::string, std::string> facts_;
  std::vector<std::string> columns_;
};

/// A whole number of at least `least`.
std::int64_t count_cell(const CsvTable& t, const Cells& cells, const std::string& column, std::int64_t least = 1);
/// Finite and more than 0.
double positive_cell(const CsvTable& t, const Cells& cells, const std::string& column);
std::string cell_of(const CsvTable& t, const Cells& cells, const std::string& column,
                    const std::vector<std::string>& allowed);
Dtype dtype_cell(const CsvTable& t, const Cells& cells, const std::vector<Dtype>& allowed);

/// Refuses a second row of the same key (all cells but those measured).
class Keys {
 public:
  void add(const CsvTable& t, Cells cells, const std::vector<std::string>& measured);

 private:
  std::set<Cells> seen_;
};

}  // namespace railcast
