// Writing a file whole or not at all.
#pragma once
#include <functional>
#include <ostream>
#include <string>

namespace railcast {

/// Writes beside the target and renames, so that a reader finds the old file or the new one, never half of one. What is
/// not a regular file (a terminal, a pipe, /dev/null) is written in place; through a link, the file it points to.
/// Throws BadInput naming the path where it cannot be written, and leaves nothing behind.
void write_file(const std::string& path, const std::function<void(std::ostream&)>& write);

/// With those above it. Throws BadInput naming the path where it cannot be made.
void make_folder(const std::string& path);

}  // namespace railcast
