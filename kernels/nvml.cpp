#include "kernels/nvml.hpp"

#include <dlfcn.h>

#include <array>
#include <chrono>

namespace railcast::kernels {
namespace {

// NVML's C interface, as documented in the NVML API reference (r580).
constexpr int kClockSm = 1, kTemperatureGpu = 0;
// SW power cap 0x4, HW slowdown 0x8, SW thermal 0x20, HW thermal 0x40, HW power brake 0x80
constexpr unsigned long long kSlowing = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;

template <typename... Args>
bool call(void* library, const char* name, Args... args) {
  auto* f = reinterpret_cast<int (*)(Args...)>(dlsym(library, name));
  return f != nullptr && f(args...) == 0;
}

}  // namespace

Nvml::Nvml(const std::string& pci_address) : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW)) {
  if (library_ == nullptr) return;
  if (!call(library_, "nvmlInit_v2")) return;
  std::array<char, 96> text{};
  if (call(library_, "nvmlSystemGetDriverVersion", text.data(), 96U)) driver_ = text.data();
  const bool found =
      (!pci_address.empty() && call(library_, "nvmlDeviceGetHandleByPciBusId_v2", pci_address.c_str(), &device_)) ||
      call(library_, "nvmlDeviceGetHandleByIndex_v2", 0U, &device_);
  if (!found) device_ = nullptr;
}

Nvml::~Nvml() {
  if (running_) stop();
  if (library_ != nullptr) dlclose(library_);
}

void Nvml::sample() {
  unsigned clock = 0, milliwatts = 0, celsius = 0;
  unsigned long long reasons = 0;
  call(library_, "nvmlDeviceGetClockInfo", device_, kClockSm, &clock);
  call(library_, "nvmlDeviceGetPowerUsage", device_, &milliwatts);
  call(library_, "nvmlDeviceGetTemperature", device_, kTemperatureGpu, &celsius);
  call(library_, "nvmlDeviceGetCurrentClocksThrottleReasons", device_, &reasons);
  sum_.sm_clock_mhz += clock;
  sum_.power_w += milliwatts / 1000.0;
  sum_.temperature_c += celsius;
  sum_.throttle_reasons |= reasons;
  ++samples_;
}

void Nvml::start() {
  if (!available()) return;
  sum_ = {}, samples_ = 0;
  running_ = true;
  thread_ = std::thread([this] {
    do {
      sample();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    } while (running_);
  });
}

Gpu Nvml::stop() {
  if (!running_) return {};
  running_ = false;
  thread_.join();
  Gpu mean = sum_;
  const double n = samples_ > 0 ? samples_ : 1;
  mean.sm_clock_mhz /= n, mean.power_w /= n, mean.temperature_c /= n;
  mean.throttled = (mean.throttle_reasons & kSlowing) != 0;
  return mean;
}

}  // namespace railcast::kernels
