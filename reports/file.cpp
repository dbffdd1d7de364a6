#include "reports/file.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "model/scenario.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw BadInput(path, "", "cannot be written: " + why + "; give a file in a folder that exists and may be written");
}

/// A file beside the target that is gone unless it was put in its place.
class Draft {
 public:
  explicit Draft(const fs::path& target)
      : target_(target), path_(target.string() + ".part" + std::to_string(std::random_device()())) {}
  ~Draft() {
    std::error_code ignored;
    if (!kept_) fs::remove(path_, ignored);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  const fs::path& path() const { return path_; }
  void keep() {
    fs::rename(path_, target_);
    kept_ = true;
  }

 private:
  fs::path target_, path_;
  bool kept_ = false;
};

void write_to(const fs::path& to, const std::string& path, const std::function<void(std::ostream&)>& write) {
  errno = 0;
  std::ofstream out(to, std::ios::binary);
  if (!out) refuse(path, std::strerror(errno));
  write(out);
  out.close();
  if (!out) refuse(path, errno != 0 ? std::strerror(errno) : "the disk may be full");
}

}  // namespace

void write_file(const std::string& path, const std::function<void(std::ostream&)>& write) {
  try {
    const bool exists = fs::exists(path);
    if (fs::is_directory(path)) refuse(path, "it is a folder");
    errno = 0;
    if (exists && !std::ofstream(path, std::ios::app)) refuse(path, std::strerror(errno));
    if (exists && !fs::is_regular_file(path)) return write_to(path, path, write);
    Draft draft(exists ? fs::canonical(path) : fs::path(path));
    write_to(draft.path(), path, write);
    draft.keep();
  } catch (const fs::filesystem_error& e) {
    refuse(path, e.code().message());
  }
}

void make_folder(const std::string& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) throw BadInput(path, "", "the folder cannot be made: " + failed.message());
}

}  // namespace railcast
