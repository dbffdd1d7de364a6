// Argument checks: every message names the argument, what is expected and what was given.
#include <cstdint>
#include <string>

#include "kernels/error.hpp"
#include "kernels/gemm.hpp"

namespace railcast::kernels {
namespace {

using std::to_string;

/// `what` is put together only where it is thrown: a dozen texts would be most of what a call costs the host.
template <typename What>
void require(bool ok, const What& what) {
  if (!ok) throw KernelError(Fault::argument, what());
}

void require_multiple(const char* name, std::int64_t value, std::int64_t of) {
  require(value > 0 && value % of == 0, [&] {
    return std::string(name) + " must be a positive multiple of " + to_string(of) + ", got " + to_string(value);
  });
}

void require_aligned(const char* name, const void* pointer, std::uintptr_t bytes) {
  require(pointer != nullptr, [&] { return std::string(name) + " is null"; });
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  require(address % bytes == 0, [&] {
    return std::string(name) + " must be aligned to " + to_string(bytes) + " bytes, its address ends in " +
           to_string(address % bytes);
  });
}

/// Scales of 1x128 tiles: [ceil(k/128)][stride], the row innermost.
void require_stride(const char* name, std::int64_t stride, std::int64_t rows) {
  require(stride >= rows && stride % 4 == 0, [&] {
    return std::string(name) +
           " is the pitch of scales stored [ceil(k/128)][pitch], row innermost: it must be at least " +
           to_string(rows) + " and a multiple of 4, got " + to_string(stride);
  });
}

void require_size(const char* name, std::int64_t value, std::int64_t limit) {
  require(value >= 0 && value <= limit,
          [&] { return std::string(name) + " must lie in 0.." + to_string(limit) + ", got " + to_string(value); });
}

constexpr std::int64_t kLargest = std::int64_t{1} << 30;

void check_launch(const Launch& launch, int device_sms) {
  require(launch.sms >= 0 && launch.sms <= device_sms, [&] {
    return "sms must lie in 0.." + to_string(device_sms) + " (this GPU's SMs; 0 = all), got " + to_string(launch.sms);
  });
}

template <typename Args>
void check_common(const Args& args, const Launch& launch, int device_sms) {
  check_launch(launch, device_sms);
  require_multiple("n", args.n, 16);
  require_size("m", args.m, kLargest);
  require_size("n", args.n, kLargest);
  require_size("k", args.k, kLargest);
}

template <typename Args>
void check_weights(const Args& args) {
  require_multiple("k", args.k, 16);
  require_aligned("a", args.a, 16);
  require_aligned("a_scales", args.a_scales, 16);
  require_stride("a_scale_stride", args.a_scale_stride, args.m);
  require_aligned("b", args.b, 16);
  require_aligned("b_scales", args.b_scales, 4);
  require_aligned("d", args.d, 16);
}

}  // namespace

void check(const GemmArgs& args, const Launch& launch, int device_sms) {
  check_common(args, launch, device_sms);
  if (args.m > 0) check_weights(args);
}

void check(const GroupedGemmArgs& args, const Launch& launch, int device_sms) {
  check_common(args, launch, device_sms);
  require(args.groups >= 1 && args.groups <= 1024,
          [&] { return "groups must lie in 1..1024, got " + to_string(args.groups); });
  require_size("m", args.m, 262144);
  if (args.m == 0) return;
  check_weights(args);
  require_aligned("block_group", args.block_group, 4);
}

void check(const MaskedGemmArgs& args, const Launch& launch, int device_sms) {
  check_common(args, launch, device_sms);
  require(args.groups >= 1 && args.groups <= 1024,
          [&] { return "groups must lie in 1..1024, got " + to_string(args.groups); });
  require_size("groups * m", args.groups * args.m, 262144);
  if (args.m == 0) return;
  check_weights(args);
  require_aligned("valid_rows", args.valid_rows, 4);
}

void check(const WgradArgs& args, const Launch& launch, int device_sms) {
  check_common(args, launch, device_sms);
  require_size("groups", args.groups, 1024);
  if (args.m == 0 || args.k == 0) return;
  require_multiple("k", args.k, args.groups > 0 ? 128 : 16);
  require_aligned("a", args.a, 16);
  require_aligned("a_scales", args.a_scales, 16);
  require_stride("a_scale_stride", args.a_scale_stride, args.m);
  require_aligned("b", args.b, 16);
  require_aligned("b_scales", args.b_scales, 16);
  require_stride("b_scale_stride", args.b_scale_stride, args.n);
  require_aligned("d", args.d, 16);
  if (args.groups > 0) require_aligned("k_offsets", args.k_offsets, 4);
}

}  // namespace railcast::kernels
