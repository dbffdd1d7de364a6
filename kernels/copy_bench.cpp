// Suites of the copy kernel: by size on the whole GPU, and by number of SMs.
#include <limits>

#include "kernels/bench.hpp"
#include "kernels/copy.hpp"
#include "kernels/device_array.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

class CopyWorkload : public Workload {
 public:
  CopyWorkload(std::size_t bytes, int sms, int cluster, int sets) : bytes_(bytes), sms_(sms), cluster_(cluster) {
    for (int s = 0; s < sets; ++s) {
      from_.emplace_back(bytes), to_.emplace_back(bytes);
      fill_codes(from_.back().get(), bytes, static_cast<std::uint32_t>(s), nullptr);
    }
    throw_unless(cudaDeviceSynchronize(), "filling the data of a copy");
  }
  void run(int set, cudaStream_t stream) override {
    const auto s = static_cast<std::size_t>(set);
    if (sms_ == 0)
      copy_all(to_[s].get(), from_[s].get(), bytes_, stream);
    else
      copy_on(to_[s].get(), from_[s].get(), bytes_, sms_, cluster_, stream);
  }
  Difference check(cudaStream_t stream) override {
    throw_unless(cudaMemsetAsync(to_[0].get(), 0xff, bytes_, stream), "poisoning an output");
    run(0, stream);
    throw_unless(cudaStreamSynchronize(stream), "running a copy");
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    return from_[0].host() == to_[0].host() ? Difference{0, 0} : Difference{kInfinity, kInfinity};
  }

 private:
  std::size_t bytes_;
  int sms_, cluster_;
  std::vector<DeviceArray<std::uint8_t>> from_, to_;
};

void measure_copy(Bench& bench, std::size_t bytes, int sms) {
  Case c;
  c.stem = "copy", c.shape = fields({"bytes"}, {static_cast<std::int64_t>(bytes)});
  c.dtype = c.out_dtype = "u8", c.sms = sms, c.tolerance = 0;
  c.bytes = c.set_bytes = 2.0 * static_cast<double>(bytes);
  c.make = [=](int sets) { return std::make_unique<CopyWorkload>(bytes, sms, sms % 2 == 0 ? 2 : 1, sets); };
  bench.measure(c);
}

}  // namespace

/// `bytes` is the size of one buffer; gbps counts bytes read and bytes written.
void copy_suite(Bench& bench) {
  for (const std::size_t kib : {64, 256, 1024, 4096, 16384, 65536, 114688, 262144, 1048576})
    measure_copy(bench, kib * 1024, 0);
  for (const int sms : {1, 2, 4, 8, 12, 16, 20, 24, 32, 48, 64, 96, 128})
    if (sms <= bench.sms()) measure_copy(bench, 16384 * kCopyRow, sms);
}

}  // namespace railcast::kernels
