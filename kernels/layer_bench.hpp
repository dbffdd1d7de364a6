// What the layer kernels' benches share: random cases held against the CPU references, and timed rows beside a copy of
// the same size in the same run. One <stem>_bench.cu a stem.
#pragma once
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/bench.hpp"
#include "kernels/device_array.hpp"
#include "kernels/number.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels::layer {

/// Device memory that a pointer argument takes as it is. Fresh memory holds 0xA5 bytes, so that what is not written
/// shows.
template <typename T>
class Array : public DeviceArray<T> {
 public:
  explicit Array(std::size_t count) : DeviceArray<T>(count) { fill_bytes(0xA5); }
  explicit Array(const std::vector<T>& host) : DeviceArray<T>(host) {}
  operator T*() const { return this->get(); }
  void zero() { fill_bytes(0); }

 private:
  void fill_bytes(int byte) {
    if (this->size() == 0) return;
    throw_unless(cudaMemset(this->get(), byte, this->bytes()), "filling GPU memory");
    throw_unless(cudaStreamSynchronize(nullptr), "filling GPU memory");
  }
};

/// A random case of a kernel against its reference.
struct Outcome {
  bool ok = true;
  double error = 0;       ///< largest relative (Frobenius) error of the case's outputs; 0 where they are bit-exact
  std::string complaint;  ///< the first thing that differed
  void fail(const std::string& what) {
    if (ok) complaint = what;
    ok = false;
  }
};
using Check = std::function<Outcome(Random&)>;

/// Normal, of this spread; rounded to BF16.
std::vector<Bf16> normal_bf16(Random& random, std::size_t count, float spread = 1.0F);
std::vector<float> normal(Random& random, std::size_t count, float spread = 1.0F);

/// Each value within `relative` of the reference, or within `absolute`.
void compare(Outcome& outcome, const std::string& what, const std::vector<double>& got,
             const std::vector<double>& expected, double relative, double absolute);
std::vector<double> doubles(const std::vector<Bf16>& x);
std::vector<double> doubles(const std::vector<float>& x);
template <typename T>
void compare_bits(Outcome& outcome, const std::string& what, const std::vector<T>& got,
                  const std::vector<T>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (got[i] == expected[i]) continue;
    return outcome.fail(what + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", expected " +
                        std::to_string(expected[i]));
  }
}
/// To the same array of problem `set`, each `count` long; null stays null.
template <typename T>
void take_turn(T*& pointer, int set, std::size_t count) {
  if (pointer != nullptr) pointer += static_cast<std::size_t>(set) * count;
}
/// `count` elements from `at` on, which lies on the GPU.
template <typename T>
std::vector<std::remove_const_t<T>> read(T* at, std::int64_t count) {
  std::vector<std::remove_const_t<T>> host(static_cast<std::size_t>(count));
  throw_unless(cudaMemcpy(host.data(), at, host.size() * sizeof(T), cudaMemcpyDeviceToHost), "reading GPU memory");
  return host;
}
/// Of each of `lines` lines, `pitch` elements apart on the GPU, the first `count` from `at` on.
template <typename T>
std::vector<std::remove_const_t<T>> read_columns(T* at, std::int64_t lines, std::int64_t pitch, std::int64_t count) {
  std::vector<std::remove_const_t<T>> host(static_cast<std::size_t>(lines * count));
  const std::size_t width = static_cast<std::size_t>(count) * sizeof(T);
  throw_unless(cudaMemcpy2D(host.data(), width, at, static_cast<std::size_t>(pitch) * sizeof(T), width,
                            static_cast<std::size_t>(lines), cudaMemcpyDeviceToHost),
               "reading GPU memory");
  return host;
}

/// Holds part of what a timed problem writes (of set 0) against the reference; run() runs it once.
using PartCheck = std::function<void(Outcome& out, const std::function<void()>& run)>;

/// A row to time. `bytes`: the fewest through device memory. Problems that L2 would hold in part come in several `sets`
/// (rotating_sets) that take turns.
struct Timed {
  Fields shape;
  std::string dtype = "bf16", out_dtype = "bf16", impl = "railcast";
  double bytes = 0;
  Run run;
  int sets = 1;
  double must_of_copy = 0, must_us = 0;  ///< as Case's
  int sms = 0;                           ///< blocks, for the copy too; 0: all
  PartCheck part = nullptr;              ///< without it the row's error is that of the random cases
};

/// One kernel family: its random checks and its rows.
class Layer {
 public:
  Layer(Bench& bench, std::string stem) : bench_(bench), stem_(std::move(stem)) {}
  /// As many random cases as --cases says, or a dozen before timed rows. After a failure nothing is timed.
  void check(const std::string& name, const Check& check);
  bool timing() const;
  /// Times a copy that reads and writes as many bytes, then the row.
  void time(const Timed& row);

 private:
  Bench& bench_;
  std::string stem_;
  void time_copy(const Timed& row);
  Case row_case(const Timed& row, const std::string& impl) const;

  double error_ = 0;  ///< largest of the checks so far
  bool failed_ = false;
};

}  // namespace railcast::kernels::layer
