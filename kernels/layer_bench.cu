#include "kernels/layer_bench.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "kernels/copy.hpp"
#include "kernels/vector.cuh"

namespace railcast::kernels::layer {

std::vector<float> normal(Random& random, std::size_t count, float spread) {
  std::normal_distribution<float> draw(0.0F, spread);
  std::vector<float> x(count);
  for (float& v : x) v = draw(random);
  return x;
}
std::vector<Bf16> normal_bf16(Random& random, std::size_t count, float spread) {
  std::vector<Bf16> out;
  out.reserve(count);
  for (const float v : normal(random, count, spread)) out.push_back(bf16_from_float(v));
  return out;
}

std::vector<double> doubles(const std::vector<Bf16>& x) {
  std::vector<double> out;
  for (const Bf16 v : x) out.push_back(float_from_bf16(v));
  return out;
}
std::vector<double> doubles(const std::vector<float>& x) { return {x.begin(), x.end()}; }

void compare(Outcome& outcome, const std::string& what, const std::vector<double>& got,
             const std::vector<double>& expected, double relative, double absolute) {
  if (got.size() < expected.size()) return outcome.fail(what + ": too few values");
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double away = std::fabs(got[i] - expected[i]);
    difference += away * away, norm += expected[i] * expected[i];
    if (!(away <= relative * std::fabs(expected[i]) + absolute))
      outcome.fail(what + "[" + std::to_string(i) + "] is " + std::to_string(got[i]) + ", expected " +
                   std::to_string(expected[i]));
  }
  if (norm > 0) outcome.error = std::max(outcome.error, std::sqrt(difference / norm));
}

namespace {

/// Four 16-byte pieces a thread; not persistent: the fastest form seen for a plain copy.
__global__ __launch_bounds__(256) void copy(const uint4* from, uint4* to, std::size_t count) {
  const std::size_t first = blockIdx.x * std::size_t{1024} + threadIdx.x;
  uint4 v[4];
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (first + i * 256 < count) v[i] = device::load16(from + first + i * 256);
#pragma unroll
  for (int i = 0; i < 4; ++i)
    if (first + i * 256 < count) device::store16(to + first + i * 256, v[i]);
}

/// A launch that was checked through random cases, and in part here.
class Checked : public Workload {
 public:
  Checked(Run run, int sets, double error, PartCheck part = nullptr)
      : run_(std::move(run)), part_(std::move(part)), sets_(sets), error_(error) {}
  void run(int set, cudaStream_t stream) override { run_(set % sets_, stream); }
  Difference check(cudaStream_t stream) override {
    const auto once = [&] {
      run_(0, stream);
      throw_unless(cudaStreamSynchronize(stream), "running the kernel");
    };
    if (part_ == nullptr) return once(), Difference{error_, error_};
    Outcome outcome;
    part_(outcome, once);
    if (!outcome.ok) throw std::runtime_error(outcome.complaint);
    return {outcome.error, outcome.error};
  }

 private:
  Run run_;
  PartCheck part_;
  int sets_;
  double error_;
};

}  // namespace

bool Layer::timing() const { return bench_.options().cases == 0; }

void Layer::check(const std::string& name, const Check& check) {
  const std::string full = stem_ + " " + name;
  const int count = timing() ? 12 : bench_.options().cases;
  double worst = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = bench_.options().seed + static_cast<std::uint64_t>(i);
    Random random = random_of(seed, full);
    Outcome outcome;
    try {
      outcome = check(random);
    } catch (const std::exception& problem) {
      outcome.fail(problem.what());
    }
    worst = std::max(worst, outcome.error);
    if (outcome.ok) continue;
    failed_ = true;
    return bench_.fail(full + ": " + outcome.complaint + "; again: --suite " + stem_ + " --cases 1 --seed " +
                       std::to_string(seed));
  }
  error_ = std::max(error_, worst);
  std::printf("%-32s %d random cases, largest relative error %.2e\n", full.c_str(), count, worst);
  std::fflush(stdout);
}

Case Layer::row_case(const Timed& row, const std::string& impl) const {
  Case c;
  c.stem = stem_, c.shape = row.shape, c.dtype = row.dtype, c.out_dtype = row.out_dtype, c.impl = impl;
  c.bytes = row.bytes, c.set_bytes = row.bytes, c.tolerance = 0.05, c.sms = row.sms;
  return c;
}

void Layer::time_copy(const Timed& row) {
  const auto count = static_cast<std::size_t>(row.bytes / 32);
  const int sets = rotating_sets(row.bytes);
  const DeviceArray<uint4> memory(2 * count * static_cast<std::size_t>(sets));
  fill_bf16(memory.get(), memory.bytes() / 2, 1.0F, 1, nullptr);
  throw_unless(cudaDeviceSynchronize(), "filling what a copy reads");
  Case c = row_case(row, row.impl + "_as_copy");
  c.make = [&](int) {
    return std::make_unique<Checked>(
        [&](int set, cudaStream_t stream) {
          uint4* from = memory.get() + static_cast<std::size_t>(set) * 2 * count;
          if (row.sms > 0) return copy_on(from + count, from, count * 16, row.sms, row.sms % 2 == 0 ? 2 : 1, stream);
          copy<<<static_cast<unsigned>((count + 1023) / 1024), 256, 0, stream>>>(from, from + count, count);
        },
        sets, 0.0);
  };
  bench_.measure(c);
}

void Layer::time(const Timed& row) {
  if (failed_ || !timing()) return;
  throw_unless(cudaDeviceSynchronize(), "preparing a timed row");
  time_copy(row);
  Case c = row_case(row, row.impl);
  c.must_of_copy = row.must_of_copy, c.must_us = row.must_us;
  c.make = [&](int) { return std::make_unique<Checked>(row.run, row.sets, error_, row.part); };
  bench_.measure(c);
}

}  // namespace railcast::kernels::layer
