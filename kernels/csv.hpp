// A measured table on disk: comment lines, one header line, rows. A row is written whole or not at all, and a run that
// is started again finds what it has already.
#pragma once
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace railcast::kernels {

using Fields = std::vector<std::pair<std::string, std::string>>;  ///< column, text

/// One row of a measured table. `key` columns name the experiment; `values` are what came out.
struct MeasuredRow {
  Fields key, values;
};

class MeasuredFile {
 public:
  /// Reads the rows that are there; one that an interrupted run left unfinished is none. A file whose header differs
  /// from the first row's columns is an error when appending.
  MeasuredFile(std::filesystem::path path, std::vector<std::string> comments);
  bool has(const Fields& key) const { return find(key) != nullptr; }
  /// The number in a column of the first row with this key; 0 where there is none.
  double number(const Fields& key, const std::string& column) const;
  /// Writes comments and header first if the file is new; the row is flushed before this returns. An unfinished row is
  /// cut off. Where the file's comments are another run's, one more says from which row on these hold.
  void append(const MeasuredRow& row);
  const std::filesystem::path& path() const { return path_; }

 private:
  using Row = std::map<std::string, std::string>;
  const Row* find(const Fields& key) const;
  void note_origin();

  std::filesystem::path path_;
  std::vector<std::string> comments_;
  std::vector<std::string> header_;
  std::vector<Row> rows_;
  bool noted_ = false;  ///< where the rows of this run come from
};

/// Makes the folder; throws where no file can be written in it.
void require_writable(const std::filesystem::path& folder);

/// "a,b,c" -> {"a", "b", "c"}; values contain no commas.
std::vector<std::string> split_csv(const std::string& line);

}  // namespace railcast::kernels
