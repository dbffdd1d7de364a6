#include "kernels/csv.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

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

/// An interrupted run leaves half a row behind.
bool ends_inside_a_line(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || in.tellg() <= 0) return false;
  in.seekg(-1, std::ios::end);
  return in.get() != '\n';
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
  std::ifstream in(path_);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> parts = split_csv(line);
    if (header_.empty()) {
      header_ = parts;
      continue;
    }
    if (parts.size() != header_.size()) continue;  // cut off by an interrupted run: measure it again
    std::map<std::string, std::string> row;
    for (std::size_t i = 0; i < parts.size(); ++i) row[header_[i]] = parts[i];
    rows_.push_back(std::move(row));
  }
}

bool MeasuredFile::has(const Fields& key) const {
  return std::any_of(rows_.begin(), rows_.end(), [&](const auto& row) {
    return std::all_of(key.begin(), key.end(), [&](const auto& field) {
      const auto found = row.find(field.first);
      return found != row.end() && found->second == field.second;
    });
  });
}

void MeasuredFile::append(const MeasuredRow& row) {
  const std::vector<std::string> names = columns(row);
  if (!header_.empty() && header_ != names)
    throw std::runtime_error(path_.string() + ": its header is '" + join(header_) + "', the new row has '" +
                             join(names) + "'; move the file away and measure again");
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path());
  const bool cut = ends_inside_a_line(path_);
  std::ofstream out(path_, std::ios::app);
  if (cut) out << '\n';
  if (header_.empty()) {
    for (const std::string& comment : comments_) out << "# " << comment << '\n';
    out << join(names) << '\n';
    header_ = names;
  }
  const std::vector<std::string> texts = cells(row);
  out << join(texts) << std::endl;
  if (!out)
    throw std::runtime_error(path_.string() + ": cannot be written; is the folder writable and the disk not full?");
  std::map<std::string, std::string> seen;
  for (std::size_t i = 0; i < names.size(); ++i) seen[names[i]] = texts[i];
  rows_.push_back(std::move(seen));
}

}  // namespace railcast::kernels
