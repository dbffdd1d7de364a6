#include "kernels/adamw_reference.hpp"
#include "kernels/layer_bench.hpp"

namespace railcast::kernels::layer {
namespace {

std::vector<Bf16> squares(const std::vector<Bf16>& x) {
  std::vector<Bf16> out;
  for (const Bf16 v : x) out.push_back(bf16_from_float(float_from_bf16(v) * float_from_bf16(v)));
  return out;
}

/// One scale a 128x128 block of what the kernel itself made of the weights.
void check_codes(Outcome& out, const AdamWArgs& a, const std::vector<float>& w, const std::vector<E4m3>& q,
                 const std::vector<float>& scales) {
  for (std::int64_t block = 0; block < a.parameters / 16384; ++block) {
    const std::int64_t first = block / (a.k / 128) * 128 * a.k + block % (a.k / 128) * 128;
    float amax = 0;
    for (std::int64_t i = 0; i < 16384; ++i)
      amax = std::fmax(amax, std::fabs(w[static_cast<std::size_t>(first + i / 128 * a.k + i % 128)]));
    const GroupScale s = group_scale(amax, a.format);
    if (scales[static_cast<std::size_t>(block)] != s.scale)
      return out.fail("the scale of block " + std::to_string(block));
    for (std::int64_t i = 0; i < 16384; ++i) {
      const auto at = static_cast<std::size_t>(first + i / 128 * a.k + i % 128);
      if (q[at] != e4m3_from_float(w[at] * s.inverse)) return out.fail("code " + std::to_string(at));
    }
  }
}

Outcome check(Random& random) {
  const bool fp8 = between(random, 0, 1) == 1;
  AdamWArgs a{.n = 128 * between(random, 1, 2),
              .k = 128 * between(random, 1, 3),
              .step = static_cast<int>(between(random, 1, 2000))};
  a.parameters = fp8 ? a.n * a.k : 8 * between(random, 1, 3000);
  const auto n = static_cast<std::size_t>(a.parameters);
  std::vector<float> master = normal(random, n), norm = {static_cast<float>(between(random, 1, 30)) / 10};
  const std::vector<float> gradient = normal(random, n, 0.1F);
  std::vector<Bf16> m = normal_bf16(random, n, 0.01F), v = squares(normal_bf16(random, n, 0.1F));
  Array<float> d_master(master), d_gradient(gradient), d_norm(norm), scales(n / 16384 + 1);
  Array<Bf16> d_m(m), d_v(v), weights(n);
  Array<E4m3> q(n);
  const bool clipped = between(random, 0, 1) == 1;
  a.master = d_master, a.gradient = d_gradient, a.m = d_m, a.v = d_v, a.weights = weights;
  if (clipped) a.norm = d_norm;
  if (fp8) a.q = q, a.scales = scales;
  adamw(a, {});
  Outcome out;
  const std::vector<float> updated = d_master.host();
  if (fp8) check_codes(out, a, updated, q.host(), scales.host());
  a.master = master.data(), a.gradient = gradient.data(), a.m = m.data(), a.v = v.data();
  if (clipped) a.norm = norm.data();
  const reference::AdamW expected = reference::adamw(a);
  // m: FP32 rounds either of two terms of up to 0.06, which may cancel, by up to 2e-9, and so does their sum.
  compare(out, "m", doubles(d_m.host()), expected.m, 0x1p-8, 6e-9),
      compare(out, "v", doubles(d_v.host()), expected.v, 0x1p-8, 1e-12);
  compare(out, "weights", doubles(weights.host()), expected.master, 0x1p-8, 1e-6);
  out.error = 0;  // of the master weights alone: the rest is rounded to BF16
  compare(out, "master", doubles(updated), expected.master, 1e-5, 1e-6);
  return out;
}

Outcome check_norm(Random& random) {
  GlobalNormArgs a{.parameters = 4 * between(random, 0, 200000)};
  const std::vector<float> gradient = normal(random, static_cast<std::size_t>(a.parameters) + 4);
  Array<float> d_gradient(gradient), norm(1);
  Array<double> parts(kNormParts);
  a.gradient = d_gradient, a.parts = parts, a.norm = norm;
  global_norm(a, {});
  a.gradient = gradient.data();
  Outcome out;
  compare(out, "norm", doubles(norm.host()), {reference::global_norm(a)}, 1e-6, 0);
  return out;
}

/// The last 16384 parameters as they are before run(), and after.
void check_part(Outcome& out, const AdamWArgs& a, const std::function<void()>& run) {
  const std::int64_t n = 16384, first = a.parameters - n;
  std::vector<float> master = read(a.master + first, n);
  const std::vector<float> gradient = read(a.gradient + first, n), norm = read(a.norm, 1);
  std::vector<Bf16> m = read(a.m + first, n), v = read(a.v + first, n);
  run();
  AdamWArgs host = a;
  host.parameters = n, host.master = master.data(), host.gradient = gradient.data(), host.m = m.data();
  host.v = v.data(), host.norm = norm.data();
  const reference::AdamW expected = reference::adamw(host);
  compare(out, "m", doubles(read(a.m + first, n)), expected.m, 0x1p-8, 1e-9),
      compare(out, "v", doubles(read(a.v + first, n)), expected.v, 0x1p-8, 1e-12);
  if (a.weights != nullptr) compare(out, "weights", doubles(read(a.weights + first, n)), expected.master, 0x1p-8, 1e-6);
  out.error = 0;  // of the master weights alone
  compare(out, "master", doubles(read(a.master + first, n)), expected.master, 1e-5, 1e-6);
  if (a.q == nullptr) return;
  AdamWArgs rows = a;  // the last 128
  rows.n = 128, rows.parameters = 128 * a.k;
  const std::int64_t at = a.parameters - rows.parameters;
  check_codes(out, rows, read(a.master + at, rows.parameters), read(a.q + at, rows.parameters),
              read(a.scales + at / 16384, a.k / 128));
}
void check_part(Outcome& out, const GlobalNormArgs& a) {
  const std::vector<float> gradient = read(a.gradient, a.parameters);
  GlobalNormArgs host = a;
  host.gradient = gradient.data();
  compare(out, "norm", doubles(read(a.norm, 1)), {reference::global_norm(host)}, 1e-6, 0);
}

/// DeepSeek-V3's size of a weight: [n, 7168].
void row(std::int64_t n, std::int64_t k, Layer& layer) {
  const auto count = static_cast<std::size_t>(n * k);
  Array<float> master(count), gradient(count), norm(1), scales(count / 16384);
  Array<Bf16> m(count), v(count), weights(count);
  Array<E4m3> q(count);
  Array<double> parts(kNormParts);
  fill_uniform(master, count, -1.0F, 1.0F, 1, nullptr), fill_uniform(gradient, count, -0.1F, 0.1F, 2, nullptr);
  m.zero(), v.zero();
  AdamWArgs a{.parameters = n * k,
              .master = master,
              .gradient = gradient,
              .m = m,
              .v = v,
              .weights = weights,
              .n = n,
              .k = k,
              .rate = 1e-6F,
              .norm = norm};
  AdamWArgs f = a;
  f.weights = nullptr, f.q = q, f.scales = scales;
  const GlobalNormArgs g{.parameters = n * k, .gradient = gradient, .parts = parts, .norm = norm};
  global_norm(g, {});
  const Fields shape = fields({"parameters"}, {n * k});
  layer.time({.shape = shape,
              .dtype = "fp32",
              .bytes = static_cast<double>(count) * 22,
              .run = [=](int, cudaStream_t s) { adamw(a, {.stream = s}); },
              .must_of_copy = 0.92,
              .part = [=](Outcome& o, const auto& run) { check_part(o, a, run); }});
  layer.time({.shape = shape,
              .dtype = "fp32",
              .out_dtype = "fp8_block",
              .impl = "railcast_fp8",
              .bytes = static_cast<double>(count) * 21,
              .run = [=](int, cudaStream_t s) { adamw(f, {.stream = s}); },
              .must_of_copy = 0.92,
              .part = [=](Outcome& o, const auto& run) { check_part(o, f, run); }});
  layer.time({.shape = shape,
              .dtype = "fp32",
              .out_dtype = "fp32",
              .impl = "railcast_norm",
              .bytes = static_cast<double>(count) * 4,
              .run = [=](int, cudaStream_t s) { global_norm(g, {.stream = s}); },
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, g); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void adamw_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "adamw");
  layer.check("update", layer::check), layer.check("global norm", check_norm);
  if (!layer.timing()) return;
  row(37376, 7168, layer);  // 268 M
}

}  // namespace railcast::kernels
