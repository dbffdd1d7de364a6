#include "kernels/processes.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "kernels/error.hpp"

namespace railcast::kernels {
namespace {

constexpr const char* kVariable = "RAILCAST_PROCESS";  ///< a started process's rank
constexpr int kSocket = 3;                             ///< and its socket

bool send_bytes(int socket, const void* bytes, std::size_t count) {
  const auto* at = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t sent = ::send(socket, at, count, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += sent, count -= static_cast<std::size_t>(sent);
  }
  return true;
}
bool receive_bytes(int socket, void* bytes, std::size_t count) {
  auto* at = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = ::recv(socket, at, count, 0);
    if (got <= 0) return false;
    at += got, count -= static_cast<std::size_t>(got);
  }
  return true;
}

bool send_text(int socket, const std::string& text) {
  const std::uint64_t size = text.size();
  return send_bytes(socket, &size, sizeof size) && send_bytes(socket, text.data(), text.size());
}
bool receive_text(int socket, std::string& text) {
  std::uint64_t size = 0;
  if (!receive_bytes(socket, &size, sizeof size)) return false;
  text.resize(size);
  return receive_bytes(socket, text.data(), text.size());
}

void throw_unless_started(bool ok, const char* what) {
  if (!ok) throw KernelError(Fault::device, std::string("starting a process: ") + what + " failed");
}

/// This program once more, its end of the socket as kSocket.
int spawn(const std::vector<std::string>& arguments, int rank, int socket) {
  std::vector<std::string> words = {"railcast-measure"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::string variable = std::string(kVariable) + "=" + std::to_string(rank);
  std::vector<char*> environment = {variable.data()};
  for (char** e = environ; *e != nullptr; ++e) environment.push_back(*e);
  environment.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, kSocket);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int status = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  throw_unless_started(status == 0, "posix_spawn");
  return child;
}

}  // namespace

Processes::Processes(int count, const std::vector<std::string>& arguments)
    : count_(count), socket_(static_cast<std::size_t>(count), -1) {
  if (const char* rank = std::getenv(kVariable)) {
    rank_ = std::atoi(rank), socket_[0] = kSocket;
    fcntl(kSocket, F_SETFD, FD_CLOEXEC);
    return;
  }
  try {
    start(arguments);
  } catch (const KernelError&) {
    hang_up();
    throw;
  }
}

void Processes::start(const std::vector<std::string>& arguments) {
  for (int r = 1; r < count_; ++r) {
    int ends[2];
    throw_unless_started(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    socket_[static_cast<std::size_t>(r)] = ends[0];
    const int child = spawn(arguments, r, ends[1]);
    ::close(ends[1]);
    child_.push_back(child);
  }
}

Processes::~Processes() {
  hang_up();
  for (const int child : child_) ::waitpid(child, nullptr, 0);
}

void Processes::hang_up() {
  for (int& socket : socket_) {
    if (socket >= 0) ::close(socket);
    socket = -1;
  }
}

/// What the process gives at this point.
std::string Processes::from(int rank, const std::string& point) {
  const int socket = socket_[static_cast<std::size_t>(rank)];
  std::string there, given;
  if (!receive_text(socket, there) || !receive_text(socket, given))
    throw KernelError(Fault::launch, "process " + std::to_string(rank) + " ended before '" + point + "'");
  if (there != point)
    throw KernelError(Fault::launch,
                      "process " + std::to_string(rank) + " is at '" + there + "', this one at '" + point + "'");
  return given;
}

std::vector<std::string> Processes::gather(const std::string& point, const std::string& mine) {
  std::vector<std::string> all(static_cast<std::size_t>(count_));
  try {
    if (rank_ == 0) {
      all[0] = mine;
      for (int r = 1; r < count_; ++r) all[static_cast<std::size_t>(r)] = from(r, point);
      for (int r = 1; r < count_; ++r)
        for (const std::string& given : all)
          if (!send_text(socket_[static_cast<std::size_t>(r)], point) ||
              !send_text(socket_[static_cast<std::size_t>(r)], given))
            throw KernelError(Fault::launch, "process " + std::to_string(r) + " ended at '" + point + "'");
      return all;
    }
    if (!send_text(socket_[0], point) || !send_text(socket_[0], mine))
      throw KernelError(Fault::launch, "process 0 ended before '" + point + "'");
    for (std::string& given : all) given = from(0, point);
    return all;
  } catch (const KernelError&) {
    hang_up();
    throw;
  }
}

bool Processes::met(const std::string& point) noexcept {
  try {
    meet(point);
    return true;
  } catch (const KernelError&) {
    return false;
  }
}

}  // namespace railcast::kernels
