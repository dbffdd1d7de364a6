// Clocks, power, temperature and throttle reasons, through NVML found at run time (no link, no header needed).
#pragma once
#include <atomic>
#include <string>
#include <thread>

namespace railcast::kernels {

/// Averages over a timed region; zeros where NVML is missing.
struct Gpu {
  double sm_clock_mhz = 0, power_w = 0, temperature_c = 0;
  unsigned long long throttle_reasons = 0;  ///< NVML's bit mask, all samples or-ed
  bool throttled = false;                   ///< power cap, thermal or hardware slowdown
};

class Nvml {
 public:
  /// Of the GPU at this PCI address ("0000:1b:00.0"); of the first one where NVML does not know it.
  explicit Nvml(const std::string& pci_address);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  bool available() const { return device_ != nullptr; }
  std::string driver() const { return driver_; }

  void start();  ///< samples in a thread until stop
  Gpu stop();

 private:
  void sample();

  void* library_ = nullptr;
  void* device_ = nullptr;
  std::string driver_ = "unknown";
  std::thread thread_;
  std::atomic<bool> running_{false};
  Gpu sum_;
  int samples_ = 0;
};

}  // namespace railcast::kernels
