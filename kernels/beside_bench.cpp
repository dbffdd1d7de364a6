// gemm_beside_copy.csv: a GEMM on some SMs while a copy kernel owns the others, both rates alone and together.
#include <chrono>
#include <string>
#include <thread>

#include "kernels/bench.hpp"
#include "kernels/copy.hpp"
#include "kernels/device_array.hpp"
#include "kernels/gemm.hpp"
#include "kernels/gemm_check.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

struct Sides {
  double gemm_us = 0, copy_gbps = 0;  // copy: bytes read and written
};

/// Both kernels and their buffers for one shape.
class Beside {
 public:
  Beside(std::int64_t m, std::int64_t n, std::int64_t k) : shape_{m, n, k} {
    const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    a_ = DeviceArray<std::uint8_t>(count(m * k)), b_ = DeviceArray<std::uint8_t>(count(n * k));
    d_ = DeviceArray<std::uint8_t>(count(2 * m * n));
    const std::int64_t k_blocks = (k + 127) / 128;
    a_scales_ = DeviceArray<float>(count(k_blocks * m)),
    b_scales_ = DeviceArray<float>(count((n + 127) / 128 * k_blocks));
    from_ = DeviceArray<std::uint8_t>(16384 * kCopyRow), to_ = DeviceArray<std::uint8_t>(16384 * kCopyRow);
    fill_codes(a_.get(), a_.size(), 1, nullptr), fill_codes(b_.get(), b_.size(), 2, nullptr);
    fill_codes(from_.get(), from_.size(), 3, nullptr);
    fill_uniform(a_scales_.get(), a_scales_.size(), 0.005F, 0.02F, 4, nullptr);
    fill_uniform(b_scales_.get(), b_scales_.size(), 0.005F, 0.02F, 5, nullptr);
    stop_ = DeviceArray<int>(1);
    throw_unless(cudaStreamCreateWithFlags(&gemm_stream_, cudaStreamNonBlocking), "a stream");
    throw_unless(cudaStreamCreateWithFlags(&copy_stream_, cudaStreamNonBlocking), "a stream");
    throw_unless(cudaDeviceSynchronize(), "filling data");
  }
  ~Beside() { cudaStreamDestroy(gemm_stream_), cudaStreamDestroy(copy_stream_); }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  void poison_outputs() { poison(d_.get(), d_.size(), gemm_stream_), poison(to_.get(), to_.size(), gemm_stream_); }
  /// What is wrong with both outputs; nothing where they are right.
  std::string complaint() {
    const GemmArgs args = gemm_args();
    GemmCheck c;
    c.rows = args.m, c.n = args.n, c.k = args.k, c.a = a_.get(), c.b = b_.get(), c.d = d_.get();
    c.a_scales = a_scales_.get(), c.a_stride = args.a_scale_stride, c.b_scales = b_scales_.get();
    const double error = check_gemm(c, gemm_stream_).relative;
    if (!(error <= Case{}.tolerance)) return "relative error " + four_digits(error) + " of the GEMM";
    return from_.host() == to_.host() ? "" : "the copy differs from what it copied";
  }

  /// Either side may be absent (0 SMs). The copy runs before, during and after the timed GEMMs.
  Sides run(int gemm_sms, int copy_sms, int cluster) {
    Sides sides;
    throw_unless(cudaMemset(stop_.get(), 0, sizeof(int)), "clearing the signal");
    throw_unless(cudaDeviceSynchronize(), "clearing the signal");
    const DeviceArray<CopyProgress> progress(std::vector<CopyProgress>{{0, ~0ULL, 0}});
    if (copy_sms > 0)
      copy_until(to_.get(), from_.get(), from_.size(), copy_sms, cluster, stop_.get(), progress.get(), copy_stream_);
    if (gemm_sms > 0)
      sides.gemm_us = time_gemm(gemm_sms);
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(80));
    throw_unless(cudaMemsetAsync(stop_.get(), 1, sizeof(int), gemm_stream_), "signalling the copy to stop");
    throw_unless(cudaDeviceSynchronize(), "running a GEMM beside a copy");
    const CopyProgress p = progress.host()[0];
    if (copy_sms > 0)
      sides.copy_gbps = 2.0 * static_cast<double>(p.rows * kCopyRow) / static_cast<double>(p.last_ns - p.first_ns);
    return sides;
  }

 private:
  GemmArgs gemm_args() const {
    GemmArgs args;
    args.m = shape_[0], args.n = shape_[1], args.k = shape_[2];
    args.a = a_.get(), args.b = b_.get(), args.d = d_.get(), args.a_scale_stride = args.m;
    args.a_scales = a_scales_.get(), args.b_scales = b_scales_.get();
    return args;
  }
  double time_gemm(int sms) {
    const GemmArgs args = gemm_args();
    cudaEvent_t from = nullptr, to = nullptr;
    throw_unless(cudaEventCreate(&from), "an event"), throw_unless(cudaEventCreate(&to), "an event");
    const double flops = 2.0 * static_cast<double>(args.m * args.n) * static_cast<double>(args.k);
    const int launches = static_cast<int>(80e-3 / (flops / 1e15)) + 1;  // about 80 ms at 1 PFLOP/s
    for (int i = 0; i < launches / 2; ++i) gemm(args, {gemm_stream_, sms, false});
    throw_unless(cudaEventRecord(from, gemm_stream_), "an event");
    for (int i = 0; i < launches; ++i) gemm(args, {gemm_stream_, sms, false});
    throw_unless(cudaEventRecord(to, gemm_stream_), "an event");
    throw_unless(cudaEventSynchronize(to), "running GEMMs");
    float ms = 0;
    throw_unless(cudaEventElapsedTime(&ms, from, to), "reading events");
    cudaEventDestroy(from), cudaEventDestroy(to);
    return ms * 1e3 / launches;
  }

  std::int64_t shape_[3];
  DeviceArray<std::uint8_t> a_, b_, d_, from_, to_;
  DeviceArray<float> a_scales_, b_scales_;
  DeviceArray<int> stop_;  // in device memory: every row of the copy looks at it
  cudaStream_t gemm_stream_ = nullptr, copy_stream_ = nullptr;
};

}  // namespace

void gemm_beside_copy_suite(Bench& bench) {
  for (const auto& shape : bench.shapes("gemm_beside_copy", {{8192, 24576, 1536}, {4096, 4096, 7168}})) {
    Beside beside(shape.at(0), shape.at(1), shape.at(2));
    for (const int copy_sms : {8, 16, 20, 24, 32})
      for (const int cluster : {1, 2}) {
        const int gemm_sms = bench.sms() - copy_sms;
        Fields key = fields({"m", "n", "k"}, shape);
        key.insert(key.end(), {{"gemm_sms", std::to_string(gemm_sms)},
                               {"copy_sms", std::to_string(copy_sms)},
                               {"cluster", std::to_string(cluster)}});
        if (!bench.wanted("gemm_beside_copy", key)) continue;
        const Sides gemm_alone = beside.run(gemm_sms, 0, cluster), copy_alone = beside.run(0, copy_sms, cluster);
        beside.poison_outputs();
        const Sides both = beside.run(gemm_sms, copy_sms, cluster);
        if (const std::string wrong = beside.complaint(); !wrong.empty()) {
          bench.fail("gemm_beside_copy " + one_line(key) + ": " + wrong);
          continue;
        }
        const double flops = 2.0 * static_cast<double>(shape[0] * shape[1]) * static_cast<double>(shape[2]);
        bench.write("gemm_beside_copy", {key,
                                         {{"gemm_alone_us", four_digits(gemm_alone.gemm_us)},
                                          {"gemm_beside_us", four_digits(both.gemm_us)},
                                          {"gemm_alone_tflops", four_digits(flops / gemm_alone.gemm_us / 1e6)},
                                          {"gemm_beside_tflops", four_digits(flops / both.gemm_us / 1e6)},
                                          {"copy_alone_gbps", four_digits(copy_alone.copy_gbps)},
                                          {"copy_beside_gbps", four_digits(both.copy_gbps)}}});
      }
  }
}

}  // namespace railcast::kernels
