// What the machine can do at best, and what a launch costs: ceilings.csv. Accumulation error against K:
// accumulation.csv.
#include <algorithm>
#include <chrono>

#include "kernels/bench.hpp"
#include "kernels/ceilings.hpp"
#include "kernels/device_array.hpp"
#include "kernels/e4m3.hpp"
#include "kernels/gemm.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

void write_ceiling(Bench& bench, const std::string& name, const char* unit, double value, const Timing& t) {
  bench.write("ceilings", {{{"name", name}, {"unit", unit}},
                           {{"value", four_digits(value)},
                            {"p10_us", four_digits(t.p10_us)},
                            {"p50_us", four_digits(t.p50_us)},
                            {"p90_us", four_digits(t.p90_us)},
                            {"samples", std::to_string(t.samples)},
                            {"sm_clock_mhz", four_digits(t.gpu.sm_clock_mhz)},
                            {"power_w", four_digits(t.gpu.power_w)},
                            {"throttled", t.gpu.throttled ? "1" : "0"}}});
}

bool wanted(Bench& bench, const std::string& name) { return bench.wanted("ceilings", {{"name", name}}); }

void wgmma_rates(Bench& bench) {
  DeviceArray<std::uint8_t> codes(49152);
  DeviceArray<float> scales(1024), out(static_cast<std::size_t>(bench.sms()) * 256);
  fill_codes(codes.get(), codes.size(), 1, nullptr);
  fill_uniform(scales.get(), scales.size(), 0.005F, 0.02F, 2, nullptr);
  throw_unless(cudaDeviceSynchronize(), "filling operands");
  const std::pair<Promotion, const char*> kinds[] = {
      {Promotion::none, "none"}, {Promotion::weights, "weights"}, {Promotion::tokens, "tokens"}};
  constexpr int kSteps = 2000;
  for (const auto& [promotion, name] : kinds)
    for (const std::string& method : bench.options().methods) {
      const std::string full = std::string("wgmma_256x128_promotion_") + name + "_" + method;
      if (!wanted(bench, full)) continue;
      const Run run = [&, p = promotion](int, cudaStream_t stream) {
        wgmma_only(codes.get(), scales.get(), out.get(), kSteps, p, bench.sms(), stream);
      };
      const Timing t = method == "cool" ? bench.cool(run) : bench.sustained(run, 1);
      write_ceiling(bench, full, "tflops", kSteps * kWgmmaFlopsPerStep * bench.sms() / t.p50_us / 1e6, t);
    }
}

/// Host time of one call, microseconds: batches of 50, so that the launch queue never fills.
template <typename Call>
Timing host_cost(cudaStream_t stream, Call call) {
  std::vector<double> us;
  for (int batch = 0; batch < 40; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; ++i) call();
    us.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / 50);
    throw_unless(cudaStreamSynchronize(stream), "running launches");
  }
  std::sort(us.begin(), us.end());
  Timing t;
  t.p10_us = us[4], t.p50_us = us[20], t.p90_us = us[36], t.samples = 40;
  return t;
}

void launch_costs(Bench& bench) {
  const int sms = bench.sms();
  for (const bool overlap : {false, true}) {
    const std::string suffix = overlap ? "_overlapped" : "";
    if (wanted(bench, "graph_node" + suffix)) {
      const Timing t =
          bench.sustained([&](int, cudaStream_t stream) { launch_empty(sms, 384, 0, overlap, stream); }, 1);
      write_ceiling(bench, "graph_node" + suffix, "us", t.p50_us, t);
    }
  }
  DeviceArray<std::uint8_t> a(128 * 512), b(256 * 512), d(2 * 128 * 256);
  DeviceArray<float> a_scales(4 * 128), b_scales(2 * 4);
  GemmArgs args;
  args.m = 128, args.n = 256, args.k = 512, args.a_scale_stride = 128;
  args.a = a.get(), args.b = b.get(), args.d = d.get(), args.a_scales = a_scales.get(), args.b_scales = b_scales.get();
  if (!wanted(bench, "host_call_gemm")) return;
  const Timing empty = host_cost(bench.stream(), [&] { launch_empty(2, 384, 0, false, bench.stream()); });
  write_ceiling(bench, "host_call_empty", "us", empty.p50_us, empty);
  const Timing call = host_cost(bench.stream(), [&] { gemm(args, {bench.stream(), 0, false}); });
  write_ceiling(bench, "host_call_gemm", "us", call.p50_us, call);
}

}  // namespace

void ceilings_suite(Bench& bench) {
  launch_costs(bench);
  wgmma_rates(bench);
}

/// 64 x 128 dot products of N(0,1)*100 codes: the tensor core's error against FP64, and the CPU emulation's.
void accumulation_suite(Bench& bench) {
  for (const std::int64_t k : {128, 256, 512, 1024, 2048, 4096, 8192, 16384}) {
    const auto size = static_cast<std::size_t>(k);
    DeviceArray<std::uint8_t> a(64 * size), b(128 * size);
    DeviceArray<float> out(64 * 128);
    fill_codes(a.get(), a.size(), 1, bench.stream()), fill_codes(b.get(), b.size(), 2, bench.stream());
    for (const bool promote : {false, true}) {
      const Fields key = {{"k", std::to_string(k)}, {"promote_every", promote ? "128" : "0"}};
      if (!bench.wanted("accumulation", key)) continue;
      accumulate(a.get(), b.get(), out.get(), k, promote, bench.stream());
      throw_unless(cudaStreamSynchronize(bench.stream()), "running the accumulation test");
      const std::vector<std::uint8_t> ha = a.host(), hb = b.host();
      const std::vector<float> hd = out.host();
      std::vector<double> exact, gpu, emulated;
      for (std::size_t i = 0; i < 64; ++i)
        for (std::size_t j = 0; j < 128; j += 8) {
          double sum = 0;
          for (std::size_t l = 0; l < size; ++l)
            sum += double{float_from_e4m3(ha[i * size + l])} * double{float_from_e4m3(hb[j * size + l])};
          exact.push_back(sum), gpu.push_back(double{hd[i * 128 + j]});
          emulated.push_back(double{dot_limited(&ha[i * size], &hb[j * size], k, promote ? 128 : 0)});
        }
      bench.write("accumulation", {key,
                                   {{"error_gpu", four_digits(difference(gpu, exact).relative)},
                                    {"error_emulated", four_digits(difference(emulated, exact).relative)},
                                    {"emulated_against_gpu", four_digits(difference(emulated, gpu).relative)}}});
    }
  }
}

}  // namespace railcast::kernels
