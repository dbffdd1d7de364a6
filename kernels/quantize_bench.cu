#include "kernels/layer_bench.hpp"
#include "kernels/quantize_reference.hpp"

namespace railcast::kernels::layer {
namespace {

/// Normal values with some exact zeros, tiny and huge ones, and a silent group; in one case of four a NaN and an
/// infinity too.
std::vector<Bf16> awkward(Random& random, std::size_t count) {
  std::vector<Bf16> x = normal_bf16(random, count);
  for (std::size_t i = 0; i < count; i += static_cast<std::size_t>(between(random, 1, 400))) {
    const Bf16 odd[] = {0, 0x8000, 0x0001, 0x7F00, 0xFF00, 0x3C00, 0x42E0};
    x[i] = odd[between(random, 0, 6)];
  }
  if (count >= 256)
    for (std::size_t i = 128; i < 256; ++i) x[i] = 0;
  const auto somewhere = [&] {
    return static_cast<std::size_t>(between(random, 0, static_cast<std::int64_t>(count) - 1));
  };
  if (between(random, 0, 3) == 0)
    x[somewhere()] = 0xFFC0, x[somewhere()] = between(random, 0, 1) == 0 ? 0x7F80 : 0xFF80;
  return x;
}

Outcome check_activations(Random& random) {
  const bool both = between(random, 0, 1) == 1;
  const std::int64_t rows = both ? 128 * between(random, 1, 3) : between(random, 1, 300);
  const std::int64_t cols = 128 * between(random, 1, 20), groups = cols / 128;
  const auto n = static_cast<std::size_t>(rows * cols);
  QuantizeArgs a{.rows = rows,
                 .cols = cols,
                 .scale_stride = rows + between(random, 0, 5),
                 .format = between(random, 0, 1) == 0 ? ScaleFormat::fp32 : ScaleFormat::power_of_two};
  const auto scale_count = static_cast<std::size_t>(groups * a.scale_stride);
  const std::vector<Bf16> x = awkward(random, n);
  std::vector<E4m3> q(n), q_t(both ? n : 0);
  std::vector<float> scales(scale_count), scales_t(both ? n / 128 : 0);
  std::vector<QuantizeStats> stats(1);
  Array<Bf16> d_x(x);
  Array<E4m3> d_q(n), d_q_t(q_t.size());
  Array<float> d_scales(scales), d_scales_t(scales_t.size());
  Array<QuantizeStats> d_stats(stats);
  const bool with_stats = between(random, 0, 1) == 1;
  a.x = d_x, a.q = d_q, a.scales = d_scales, a.stats = with_stats ? d_stats.get() : nullptr;
  if (both) a.q_t = d_q_t, a.scales_t = d_scales_t;
  quantize(a, {});
  a.x = x.data(), a.q = q.data(), a.scales = scales.data(), a.stats = stats.data();
  if (both) a.q_t = q_t.data(), a.scales_t = scales_t.data();
  reference::quantize(a);
  Outcome out;
  compare_bits(out, "q", d_q.host(), q), compare_bits(out, "scales", d_scales.host(), scales);
  compare_bits(out, "q_t", d_q_t.host(), q_t), compare_bits(out, "scales_t", d_scales_t.host(), scales_t);
  const QuantizeStats s = d_stats.host()[0];
  if (with_stats && (s.amax_bits != stats[0].amax_bits || s.at_max != stats[0].at_max || s.flushed != stats[0].flushed))
    out.fail("the statistics differ");
  return out;
}

Outcome check_weights(Random& random) {
  QuantizeWeightArgs a{.n = 128 * between(random, 1, 6),
                       .k = 128 * between(random, 1, 6),
                       .format = between(random, 0, 1) == 0 ? ScaleFormat::fp32 : ScaleFormat::power_of_two};
  const auto n = static_cast<std::size_t>(a.n * a.k);
  const std::vector<Bf16> w = awkward(random, n);
  std::vector<E4m3> q(n), q_t(n);
  std::vector<float> scales(n / 16384), scales_t(n / 16384);
  Array<Bf16> d_w(w);
  Array<E4m3> d_q(n), d_q_t(n);
  Array<float> d_scales(scales.size()), d_scales_t(scales.size());
  a.w = d_w, a.q = d_q, a.scales = d_scales, a.q_t = d_q_t, a.scales_t = d_scales_t;
  quantize_weight(a, {});
  a.w = w.data(), a.q = q.data(), a.scales = scales.data(), a.q_t = q_t.data(), a.scales_t = scales_t.data();
  reference::quantize_weight(a);
  Outcome out;
  compare_bits(out, "q", d_q.host(), q), compare_bits(out, "q_t", d_q_t.host(), q_t);
  compare_bits(out, "scales", d_scales.host(), scales), compare_bits(out, "scales_t", d_scales_t.host(), scales_t);
  return out;
}

/// The last 128 rows.
void check_part(Outcome& out, const QuantizeArgs& a) {
  const std::int64_t rows = 128, first = a.rows - rows, n = rows * a.cols;
  const std::vector<Bf16> x = read(a.x + first * a.cols, n);
  std::vector<E4m3> q(x.size()), q_t(x.size());
  std::vector<float> scales(x.size() / 128), scales_t(x.size() / 128);
  QuantizeArgs host{
      .rows = rows, .cols = a.cols, .x = x.data(), .q = q.data(), .scales = scales.data(), .scale_stride = rows};
  if (a.q_t != nullptr) host.q_t = q_t.data(), host.scales_t = scales_t.data();
  reference::quantize(host);
  compare_bits(out, "q", read(a.q + first * a.cols, n), q);
  compare_bits(out, "scales", read_columns(a.scales + first, a.cols / 128, a.scale_stride, rows), scales);
  if (a.q_t == nullptr) return;
  compare_bits(out, "q_t", read_columns(a.q_t + first, a.cols, a.rows, rows), q_t);
  compare_bits(out, "scales_t", read(a.scales_t + first / 128 * a.cols, a.cols), scales_t);
}
void check_part(Outcome& out, const QuantizeWeightArgs& a) {
  const std::int64_t rows = 128, first = a.n - rows, n = rows * a.k, groups = a.k / 128;
  const std::vector<Bf16> w = read(a.w + first * a.k, n);
  std::vector<E4m3> q(w.size()), q_t(w.size());
  std::vector<float> scales(w.size() / 16384), scales_t(w.size() / 16384);
  reference::quantize_weight({.n = rows,
                              .k = a.k,
                              .w = w.data(),
                              .q = q.data(),
                              .scales = scales.data(),
                              .q_t = q_t.data(),
                              .scales_t = scales_t.data()});
  compare_bits(out, "q", read(a.q + first * a.k, n), q);
  compare_bits(out, "scales", read(a.scales + first / 128 * groups, groups), scales);
  compare_bits(out, "q_t", read_columns(a.q_t + first, a.k, a.n, rows), q_t);
  compare_bits(out, "scales_t", read_columns(a.scales_t + first / 128, groups, a.n / 128, 1), scales_t);
}

void activation_row(std::int64_t rows, std::int64_t cols, bool transpose, bool stats, Layer& layer) {
  const auto n = static_cast<std::size_t>(rows * cols);
  const double out = (1 + 4.0 / 128) * (transpose ? 2 : 1), bytes = static_cast<double>(n) * (2 + out);
  const int sets = rotating_sets(bytes);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<Bf16> x(all);
  fill_bf16(x, all, 1.0F, 1, nullptr);
  Array<E4m3> q(all), q_t(transpose ? all : 0);
  Array<float> scales(all / 128), scales_t(all / 128);
  Array<QuantizeStats> counted(1);
  counted.zero();
  QuantizeArgs a{.rows = rows, .cols = cols, .x = x, .q = q, .scales = scales, .scale_stride = rows};
  if (transpose) a.q_t = q_t, a.scales_t = scales_t;
  if (stats) a.stats = counted;
  layer.time({.shape = fields({"rows", "cols", "transpose"}, {rows, cols, transpose}),
              .out_dtype = "fp8_block",
              .impl = stats ? "railcast_stats" : "railcast",
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    QuantizeArgs b = a;
                    take_turn(b.x, set, n), take_turn(b.q, set, n), take_turn(b.scales, set, n / 128);
                    take_turn(b.q_t, set, n), take_turn(b.scales_t, set, n / 128);
                    quantize(b, {.stream = stream});
                  },
              .sets = sets,
              .must_of_copy = rows * cols >= 8192 * 7168 ? 0.92 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

void weight_row(std::int64_t n, std::int64_t k, Layer& layer) {
  const auto count = static_cast<std::size_t>(n * k);
  Array<Bf16> w(count);
  fill_bf16(w, count, 1.0F, 2, nullptr);
  Array<E4m3> q(count), q_t(count);
  Array<float> scales(count / 16384), scales_t(count / 16384);
  const QuantizeWeightArgs a{.n = n, .k = k, .w = w, .q = q, .scales = scales, .q_t = q_t, .scales_t = scales_t};
  layer.time({.shape = fields({"rows", "cols", "transpose"}, {n, k, 1}),
              .out_dtype = "fp8_block",
              .impl = "railcast_weight",
              .bytes = static_cast<double>(count) * 4,
              .run = [=](int, cudaStream_t stream) { quantize_weight(a, {.stream = stream}); },
              .must_of_copy = 0.92,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void quantize_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "quantize");
  layer.check("activations", check_activations), layer.check("weights", check_weights);
  if (!layer.timing()) return;
  for (const bool transpose : {false, true})
    for (const bool stats : {false, true}) activation_row(8192, 7168, transpose, stats, layer);
  activation_row(32768, 2048, false, false, layer);
  for (const std::int64_t cols : {512, 1536, 7168})  // those of a DeepSeek-V3 layer
    for (const bool transpose : {false, true}) activation_row(4096, cols, transpose, false, layer);
  for (const std::int64_t cols : {16384, 24576, 32768}) activation_row(4096, cols, true, false, layer);
  activation_row(32768, 7168, true, false, layer);
  weight_row(4096, 7168, layer), weight_row(7168, 16384, layer);
}

}  // namespace railcast::kernels
