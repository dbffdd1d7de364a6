// GEMMs beside dispatch and combine between GPUs of this host: each alone on its SMs, then both at once
// (gemm_beside_exchange.csv). Medians; of the exchange the slowest GPU's.
#include "kernels/gemm.hpp"
#include "kernels/nvlink_bench.hpp"

namespace railcast::kernels::layer {
namespace {

constexpr std::int64_t kM = 8192, kN = 4096, kK = 7168;
constexpr int kGemms = 30, kExchanges = 60;  // some 20 ms of either

/// A GEMM's buffers and stream on one GPU.
class GemmSide {
 public:
  explicit GemmSide(int gpu) : gpu_(gpu), events_(kGemms + 1) {
    const OnDevice here(gpu);
    const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    a_ = DeviceArray<std::uint8_t>(count(kM * kK)), b_ = DeviceArray<std::uint8_t>(count(kN * kK));
    d_ = DeviceArray<std::uint8_t>(count(2 * kM * kN));
    a_scales_ = DeviceArray<float>(count(kM * kK / 128)), b_scales_ = DeviceArray<float>(count(kN * kK / 16384));
    fill_codes(a_.get(), a_.size(), 1, nullptr), fill_codes(b_.get(), b_.size(), 2, nullptr);
    fill_uniform(a_scales_.get(), a_scales_.size(), 0.005F, 0.02F, 3, nullptr);
    fill_uniform(b_scales_.get(), b_scales_.size(), 0.005F, 0.02F, 4, nullptr);
    throw_unless(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
    for (cudaEvent_t& e : events_) throw_unless(cudaEventCreate(&e), "creating an event");
    throw_unless(cudaDeviceSynchronize(), "filling data");
  }
  ~GemmSide() {
    cudaStreamDestroy(stream_);
    for (cudaEvent_t e : events_) cudaEventDestroy(e);
  }
  GemmSide(const GemmSide&) = delete;
  GemmSide& operator=(const GemmSide&) = delete;

  void launch(int i, int sms) {
    const OnDevice here(gpu_);
    GemmArgs args;
    args.m = kM, args.n = kN, args.k = kK, args.a_scale_stride = kM;
    args.a = a_.get(), args.b = b_.get(), args.d = d_.get();
    args.a_scales = a_scales_.get(), args.b_scales = b_scales_.get();
    if (i == 0) throw_unless(cudaEventRecord(events_[0], stream_), "recording an event");
    gemm(args, {stream_, sms, false});
    throw_unless(cudaEventRecord(events_[static_cast<std::size_t>(i) + 1], stream_), "recording an event");
  }
  /// The median of those that ran in the midst of all.
  double us() const {
    const OnDevice here(gpu_);
    std::vector<double> all;
    for (std::size_t i = kWarm; i + kWarm < kGemms; ++i) {
      float ms = 0;
      throw_unless(cudaEventSynchronize(events_[i + 1]), "running a GEMM");
      throw_unless(cudaEventElapsedTime(&ms, events_[i], events_[i + 1]), "reading an event");
      all.push_back(ms * 1e3);
    }
    return std::stod(summary(all)[1].second);
  }

 private:
  int gpu_;
  DeviceArray<std::uint8_t> a_, b_, d_;
  DeviceArray<float> a_scales_, b_scales_;
  cudaStream_t stream_ = nullptr;
  std::vector<cudaEvent_t> events_;
};

struct Times {
  double dispatch = 0, combine = 0, gemm = 0;
};

void record_exchange(const PeerExchange& e, Steps& steps, int i, int sms) {
  for (std::size_t g = 0; g < e.sides.size(); ++g) {
    const RankGroups::Group& group = e.groups.groups()[g];
    const OnDevice here(group.gpu);
    const Launch launch{.stream = group.stream, .sms = sms};
    dispatch_layout(e.sides[g]->args, launch);
    steps.record(g, i, 0);
    dispatch(e.sides[g]->args, launch);
    steps.record(g, i, 1);
    combine(e.sides[g]->back, launch);
    steps.record(g, i, 2);
  }
}

/// Either side may be absent (0 SMs).
Times run(const PeerExchange& e, std::vector<std::unique_ptr<GemmSide>>& gemms, int sms, int gemm_sms) {
  Steps steps(e.groups, kExchanges, 2);
  for (int i = 0; i < kExchanges; ++i) {
    if (sms > 0) record_exchange(e, steps, i, sms);
    if (gemm_sms > 0 && i % 2 == 0)
      for (auto& side : gemms) side->launch(i / 2, gemm_sms);
  }
  e.groups.check("exchange beside a GEMM");
  Times t;
  if (gemm_sms > 0)
    for (const auto& side : gemms) t.gemm = std::max(t.gemm, side->us());
  if (sms == 0) return t;
  std::vector<double> us[2];
  for (int i = kWarm; i < kExchanges / 2; ++i)
    for (int step = 0; step < 2; ++step) us[step].push_back(steps.us(i, step, step + 1));
  t.dispatch = std::stod(summary(us[0])[1].second), t.combine = std::stod(summary(us[1])[1].second);
  return t;
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void nvlink_beside_suite(Bench& bench) {
  using namespace layer;
  const std::vector<int> gpus = all_gpus();
  if (gpus.size() < 2) {
    std::printf("nvlink_beside: one GPU here, nothing to measure between\n");
    return;
  }
  std::vector<std::unique_ptr<GemmSide>> gemms;
  for (const int gpu : gpus) gemms.push_back(std::make_unique<GemmSide>(gpu));
  const PeerExchange exchange(8, 4096, {gpus});
  for (const int sms : {8, 16, 20, 24}) {
    const int gemm_sms = bench.sms() - sms;
    const Times alone = run(exchange, gemms, sms, 0), gemm = run(exchange, gemms, 0, gemm_sms),
                both = run(exchange, gemms, sms, gemm_sms);
    Fields key = fields({"m", "n", "k", "gemm_sms", "ranks", "gpus", "tokens", "cols", "sms"},
                        {kM, kN, kK, gemm_sms, 8, static_cast<std::int64_t>(gpus.size()), 4096, 7168, sms});
    bench.write("gemm_beside_exchange", {key,
                                         {{"dispatch_alone_us", tenths(alone.dispatch)},
                                          {"dispatch_beside_us", tenths(both.dispatch)},
                                          {"combine_alone_us", tenths(alone.combine)},
                                          {"combine_beside_us", tenths(both.combine)},
                                          {"gemm_alone_us", tenths(gemm.gemm)},
                                          {"gemm_beside_us", tenths(both.gemm)}}});
  }
}

}  // namespace railcast::kernels
