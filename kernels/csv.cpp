#include "kernels/csv.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace railcast::kernels {
namespace {

std::string join(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) line += (line.empty() ? "" : ",") + cell;
  return line;
}

std::vector<std::string> columns(const MeasuredRow& row) {
  std::vector<std::string> names;
  for (const auto& [name, value] : row.key) names.push_back(name);
  for (const auto& [name, value] : row.values) names.push_back(name);
  return names;
}

std::vector<std::string> cells(const MeasuredRow& row) {
  std::vector<std::string> texts;
  for (const auto& [name, value] : row.key) texts.push_back(value);
  for (const auto& [name, value] : row.values) texts.push_back(value);
  return texts;
}

constexpr const char* kLater = " and later: ";

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// What the comments say of the last rows: the last note, or all of them.
std::string last_origin(const std::vector<std::string>& lines) {
  std::string origin;
  for (const std::string& line : lines) {
    if (line.empty() || line[0] != '#') break;
    origin = line.find(kLater) == std::string::npos ? origin + line + "\n" : line;
  }
  return origin;
}

/// Replaces the file whole or not at all.
void rewrite(const std::filesystem::path& path, const std::vector<std::string>& lines) {
  const std::filesystem::path draft = path.string() + ".part";
  std::ofstream out(draft);
  for (const std::string& line : lines) out << line << '\n';
  out.close();
  if (out) return std::filesystem::rename(draft, path);
  std::error_code ignored;
  std::filesystem::remove(draft, ignored);
  throw std::runtime_error(path.string() + ": cannot be written; is the folder writable and the disk not full?");
}

constexpr std::uintmax_t kLargestFile = 16 << 20;  // what `railcast fit` reads

/// An interrupted run leaves half a line behind: cuts it off.
void end_with_a_line(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() <= 0) return;
  std::streamoff end = in.tellg();
  for (; end > 0; --end) {
    in.seekg(end - 1);
    if (in.get() == '\n') break;
  }
  in.close();
  if (static_cast<std::uintmax_t>(end) < std::filesystem::file_size(path))
    std::filesystem::resize_file(path, static_cast<std::uintmax_t>(end));
}

}  // namespace

std::vector<std::string> split_csv(const std::string& line) {
  std::vector<std::string> parts;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, ',');) parts.push_back(part);
  if (!line.empty() && line.back() == ',') parts.emplace_back();
  return parts;
}

MeasuredFile::MeasuredFile(std::filesystem::path path, std::vector<std::string> comments)
    : path_(std::move(path)), comments_(std::move(comments)) {
  std::error_code none;
  if (const std::uintmax_t bytes = std::filesystem::file_size(path_, none); !none && bytes > kLargestFile)
    throw std::runtime_error(path_.string() + ": " + std::to_string(bytes) +
                             " bytes are no measured table; move the file away");
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line) && !in.eof();) {  // the last line ends with a newline, or is cut off
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> parts = split_csv(line);
    if (header_.empty()) {
      header_ = parts;
      continue;
    }
    if (parts.size() != header_.size()) continue;  // damaged: measure it again
    Row row;
    for (std::size_t i = 0; i < parts.size(); ++i) row[header_[i]] = parts[i];
    rows_.push_back(std::move(row));
  }
}

const MeasuredFile::Row* MeasuredFile::find(const Fields& key) const {
  const auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) {
    return std::all_of(key.begin(), key.end(), [&](const auto& field) {
      const auto found = r.find(field.first);
      return found != r.end() && found->second == field.second;
    });
  });
  return row == rows_.end() ? nullptr : &*row;
}

double MeasuredFile::number(const Fields& key, const std::string& column) const {
  const Row* row = find(key);
  return row != nullptr && row->count(column) > 0 ? std::strtod(row->at(column).c_str(), nullptr) : 0;
}

/// "# row 12 and later: device: ..., commit: ..., date: ..." above the header, unless all but the date is as before.
void MeasuredFile::note_origin() {
  if (std::exchange(noted_, true) || rows_.empty()) return;
  std::vector<std::string> lines = lines_of(path_);
  const std::string before = last_origin(lines);
  std::string said;
  bool new_here = false;
  for (const std::string& comment : comments_) {
    if (comment.find(": ") == std::string::npos) continue;
    said += (said.empty() ? "" : ", ") + comment;
    new_here = new_here || (comment.find("date: ") != 0 && before.find(comment) == std::string::npos);
  }
  if (!new_here) return;
  const auto header =
      std::find_if(lines.begin(), lines.end(), [](const std::string& line) { return line.empty() || line[0] != '#'; });
  const auto next_row = lines.end() - header;  // the header counts for the one to come
  lines.insert(header, "# row " + std::to_string(next_row) + kLater + said);
  rewrite(path_, lines);
}

void MeasuredFile::append(const MeasuredRow& row) {
  const std::vector<std::string> names = columns(row);
  if (!header_.empty() && header_ != names)
    throw std::runtime_error(path_.string() + ": its header is '" + join(header_) + "', the new row has '" +
                             join(names) + "'; move the file away and measure again");
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path());
  end_with_a_line(path_);
  note_origin();
  std::ofstream out(path_, std::ios::app);
  if (header_.empty()) {
    for (const std::string& comment : comments_) out << "# " << comment << '\n';
    out << join(names) << '\n';
    header_ = names;
  }
  const std::vector<std::string> texts = cells(row);
  out << join(texts) << std::endl;
  if (!out)
    throw std::runtime_error(path_.string() + ": cannot be written; is the folder writable and the disk not full?");
  Row seen;
  for (std::size_t i = 0; i < names.size(); ++i) seen[names[i]] = texts[i];
  rows_.push_back(std::move(seen));
}

void require_writable(const std::filesystem::path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const std::filesystem::path probe = folder / ".railcast-measure";
  const bool written = !failed && static_cast<bool>(std::ofstream(probe) << ' ');
  if (written) std::filesystem::remove(probe, failed);
  if (!written)
    throw std::runtime_error(folder.string() + ": no file can be written there; --out names another folder");
}

}  // namespace railcast::kernels
