// The one error type of the kernels: what was wrong, and in which class of wrong it is.
#pragma once
#include <stdexcept>
#include <string>

namespace railcast::kernels {

enum class Fault { argument, device, driver, launch };

/// Thrown by every host function before anything is launched (argument, device, driver) or by the launch itself.
class KernelError : public std::runtime_error {
 public:
  KernelError(Fault fault, const std::string& what) : std::runtime_error(what), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

}  // namespace railcast::kernels
