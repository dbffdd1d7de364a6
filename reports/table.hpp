// Text in columns that line up, whatever is in the cells. No spaces at the end of a line.
#pragma once
#include <string>
#include <vector>

namespace railcast {

class Table {
 public:
  /// One letter per column: 'l' left, 'r' right. The last column wraps at `wrap` letters (0: never).
  explicit Table(std::string align, std::size_t indent = 2, std::size_t wrap = 0)
      : align_(std::move(align)), indent_(indent), wrap_(wrap) {}
  /// Missing cells are empty. Throws std::logic_error on more cells than columns.
  void row(std::vector<std::string> cells);
  /// A line as it is, between the rows.
  void line(std::string text);
  std::string text() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    bool raw = false;
  };
  std::vector<std::size_t> widths() const;
  void print(std::string& out, const Row& r, const std::vector<std::size_t>& widths) const;
  std::string align_;
  std::size_t indent_, wrap_;
  std::vector<Row> rows_;
};

/// Letters that a terminal shows: colour codes do not count.
std::size_t shown_width(const std::string& text);
/// Lines of at most `width` letters, broken at spaces; a longer word stands alone. Width 0: one line.
std::vector<std::string> wrapped(const std::string& text, std::size_t width);

}  // namespace railcast
