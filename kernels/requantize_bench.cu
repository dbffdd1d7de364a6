#include "kernels/layer_bench.hpp"
#include "kernels/quantize.hpp"
#include "kernels/requantize_reference.hpp"

namespace railcast::kernels::layer {
namespace {

Outcome check(Random& random) {
  RequantizeArgs a{.rows = 128 * between(random, 1, 3),
                   .cols = 128 * between(random, 1, 12),
                   .format = between(random, 0, 1) == 0 ? ScaleFormat::fp32 : ScaleFormat::power_of_two};
  a.scale_stride = a.rows + between(random, 0, 9);
  const auto n = static_cast<std::size_t>(a.rows * a.cols);
  std::vector<E4m3> q(n), q_t(n);
  for (E4m3& code : q) code = static_cast<E4m3>(between(random, 0, 1) * 128 + between(random, 0, 126));  // no NaN
  std::vector<float> scales = normal(random, static_cast<std::size_t>(a.cols / 128 * a.scale_stride)),
                     scales_t(n / 128);
  for (float& s : scales) s = std::fabs(s);
  Array<E4m3> d_q(q), d_q_t(n);
  Array<float> d_scales(scales), d_scales_t(scales_t.size());
  a.q = d_q, a.scales = d_scales, a.q_t = d_q_t, a.scales_t = d_scales_t;
  requantize(a, {});
  a.q = q.data(), a.scales = scales.data(), a.q_t = q_t.data(), a.scales_t = scales_t.data();
  reference::requantize(a);
  Outcome out;
  compare_bits(out, "q_t", d_q_t.host(), q_t), compare_bits(out, "scales_t", d_scales_t.host(), scales_t);
  return out;
}

/// The last 128 rows.
void check_part(Outcome& out, const RequantizeArgs& a) {
  const std::int64_t rows = 128, first = a.rows - rows, n = rows * a.cols;
  const std::vector<E4m3> q = read(a.q + first * a.cols, n);
  const std::vector<float> scales = read_columns(a.scales + first, a.cols / 128, a.scale_stride, rows);
  std::vector<E4m3> q_t(q.size());
  std::vector<float> scales_t(q.size() / 128);
  reference::requantize({.rows = rows,
                         .cols = a.cols,
                         .q = q.data(),
                         .scales = scales.data(),
                         .scale_stride = rows,
                         .q_t = q_t.data(),
                         .scales_t = scales_t.data()});
  compare_bits(out, "q_t", read_columns(a.q_t + first, a.cols, a.rows, rows), q_t);
  compare_bits(out, "scales_t", read(a.scales_t + first / 128 * a.cols, a.cols), scales_t);
}

void row(std::int64_t rows, std::int64_t cols, Layer& layer) {
  const auto n = static_cast<std::size_t>(rows * cols);
  const double bytes = static_cast<double>(n) * 2 * (1 + 4.0 / 128);
  const int sets = rotating_sets(bytes);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<E4m3> q(all), q_t(all);
  Array<float> scales(all / 128), scales_t(all / 128);
  fill_codes(q, all, 1, nullptr), fill_uniform(scales, all / 128, 0.005F, 0.02F, 2, nullptr);
  const RequantizeArgs a{
      .rows = rows, .cols = cols, .q = q, .scales = scales, .scale_stride = rows, .q_t = q_t, .scales_t = scales_t};
  layer.time({.shape = fields({"rows", "cols"}, {rows, cols}),
              .dtype = "fp8_block",
              .out_dtype = "fp8_block",
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    RequantizeArgs b = a;
                    take_turn(b.q, set, n), take_turn(b.scales, set, n / 128);
                    take_turn(b.q_t, set, n), take_turn(b.scales_t, set, n / 128);
                    requantize(b, {.stream = stream});
                  },
              .sets = sets,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void requantize_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "requantize");
  layer.check("turned", layer::check);
  if (!layer.timing()) return;
  row(32768, 7168, layer), row(8192, 7168, layer);
  row(36864, 7168, layer), row(36864, 4096, layer), row(4096, 4096, layer), row(4096, 16384, layer);  // DeepSeek-V3's
}

}  // namespace railcast::kernels
