// What the machine can do at best, and what a launch costs: ceilings.csv. Accumulation error against K:
// accumulation.csv.
#include <algorithm>
#include <chrono>
#include <optional>

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

/// What thread `t` of an SM should sum up to (`wgmma_only`).
double expected_of_thread(const std::vector<float>& products, const std::vector<float>& scales, int steps,
                          Promotion promotion, std::size_t t) {
  const std::size_t group = t / 128, row = t % 128 / 32 * 16 + t % 32 / 4;
  double of_steps = 0, of_products = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(steps); ++i)
    of_steps += promotion == Promotion::none ? 1 : double{scales[i % 256 + row]};
  for (const std::size_t band : {group, group + 2})
    for (const std::size_t below : {0, 8})
      for (std::size_t n = t % 4 * 2; n < 128; n += n % 2 == 0 ? 1 : 7) {
        const double of_column = promotion == Promotion::tokens ? double{scales[n]} : 1;
        of_products += of_column * double{products[(band * 64 + row + below) * 128 + n]};
      }
  return of_steps * of_products;
}

/// Whether few steps give what the CPU computes: else a rate could be that of a loop that multiplies less.
bool loop_is_right(Bench& bench, const DeviceArray<std::uint8_t>& codes, const DeviceArray<float>& scales,
                   DeviceArray<float>& out, Promotion promotion, const std::string& name) {
  constexpr int kSteps = 5;
  throw_unless(cudaMemset(out.get(), 0xff, out.size() * sizeof(float)), "poisoning the sums");
  wgmma_only(codes.get(), scales.get(), out.get(), kSteps, promotion, bench.sms(), nullptr);
  throw_unless(cudaDeviceSynchronize(), "running the wgmma loop");
  const std::vector<std::uint8_t> c = codes.host();
  const std::vector<float> s = scales.host(), sums = out.host();
  const auto code = [&](std::size_t row, std::size_t k) {
    return float_from_e4m3(c[row * 128 + (k / 16 ^ row % 8) * 16 + k % 16]);
  };
  std::vector<float> products(256 * 128);
  for (std::size_t m = 0; m < 256; ++m)
    for (std::size_t n = 0; n < 128; ++n)
      for (std::size_t k = 0; k < 128; ++k) products[m * 128 + n] += code(m, k) * code(256 + n, k);
  std::vector<double> got, expected;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    got.push_back(double{sums[i]});
    expected.push_back(i < 256 ? expected_of_thread(products, s, kSteps, promotion, i) : expected[i - 256]);
  }
  const double error = difference(got, expected).relative;
  const bool right = error <= 1e-3;
  if (!right) bench.fail("the wgmma loop with promotion by " + name + ": relative error " + four_digits(error));
  return right;
}

void wgmma_rates(Bench& bench) {
  DeviceArray<std::uint8_t> codes(49152);
  DeviceArray<float> scales(1024), out(static_cast<std::size_t>(bench.sms()) * 256);
  fill_codes(codes.get(), codes.size(), 1, nullptr);
  fill_uniform(scales.get(), scales.size(), 0.005F, 0.02F, 2, nullptr);
  throw_unless(cudaDeviceSynchronize(), "filling operands");
  const std::pair<Promotion, const char*> kinds[] = {
      {Promotion::none, "none"}, {Promotion::weights, "weights"}, {Promotion::tokens, "tokens"}};
  constexpr int kSteps = 2000;
  for (const auto& [promotion, name] : kinds) {
    std::optional<bool> right;
    for (const std::string& method : bench.options().methods) {
      const std::string full = std::string("wgmma_256x128_promotion_") + name + "_" + method;
      if (!wanted(bench, full)) continue;
      if (!right) right = loop_is_right(bench, codes, scales, out, promotion, name);
      if (!*right) continue;
      const Run run = [&, p = promotion](int, cudaStream_t stream) {
        wgmma_only(codes.get(), scales.get(), out.get(), kSteps, p, bench.sms(), stream);
      };
      const Timing t = method == "cool" ? bench.cool(run) : bench.sustained(run, 1);
      write_ceiling(bench, full, "tflops", kSteps * kWgmmaFlopsPerStep * bench.sms() / t.p50_us / 1e6, t);
    }
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
