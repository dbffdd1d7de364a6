// The repository's own C++ and CUDA files, for the tests that read them.
#pragma once
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace railcast::tests {

struct SourceFile {
  std::string path;                ///< "sim/engine.cpp"
  std::vector<std::string> lines;  ///< without their newlines
};

inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Every .cpp .hpp .cu .cuh below the folders, by path; a folder that is not there yet holds none.
inline std::vector<SourceFile> source_files(const std::vector<std::string>& folders) {
  const std::filesystem::path root = RAILCAST_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const auto& folder : folders) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      const std::string kind = entry.path().extension().string();
      if (kind != ".cpp" && kind != ".hpp" && kind != ".cu" && kind != ".cuh") continue;
      files.push_back({std::filesystem::relative(entry.path(), root).string(), read_lines(entry.path())});
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

}  // namespace railcast::tests
