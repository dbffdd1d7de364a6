#include "kernels/layer_bench.hpp"
#include "kernels/quantize_reference.hpp"
#include "kernels/swiglu_reference.hpp"

namespace railcast::kernels::layer {
namespace {

/// De-quantised [rows, cols] from codes and scales in the kernels' layout; `transposed`: codes [cols, rows].
std::vector<double> values(const std::vector<E4m3>& q, const std::vector<float>& scales, std::int64_t stride,
                           std::int64_t rows, std::int64_t cols, bool transposed) {
  std::vector<double> out;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < cols; ++c) {
      const std::int64_t at = transposed ? c * rows + r : r * cols + c;
      const std::int64_t scale = transposed ? r / 128 * cols + c : c / 128 * stride + r;
      out.push_back(static_cast<double>(float_from_e4m3(q[static_cast<std::size_t>(at)])) *
                    static_cast<double>(scales[static_cast<std::size_t>(scale)]));
    }
  return out;
}
/// E4M3 keeps 4 bits: within 1/16 of the value, or of the group's smallest step (values up to `top`).
void compare_quantised(Outcome& out, const std::string& what, const std::vector<double>& got,
                       const std::vector<double>& expected) {
  double top = 0;
  for (const double x : expected) top = std::max(top, std::fabs(x));
  compare(out, what, got, expected, 1.02 / 16, top * 0x1p-10 / 448 * 1.1);
}

Outcome check_forward(Random& random) {
  SwiGluArgs a{.rows = between(random, 1, 200), .cols = 128 * between(random, 1, 12)};
  a.scale_stride = a.rows + between(random, 0, 4);
  const auto n = static_cast<std::size_t>(a.rows * a.cols);
  const std::vector<Bf16> gate_up = normal_bf16(random, 2 * n, 3.0F);
  const std::vector<float> weight = normal(random, static_cast<std::size_t>(a.rows));
  const bool weighted = between(random, 0, 1) == 1;
  Array<Bf16> d_gate_up(gate_up), h(n);
  Array<float> d_weight(weight);
  std::vector<E4m3> q(n);
  std::vector<float> scales(static_cast<std::size_t>(a.cols / 128 * a.scale_stride));
  Array<E4m3> d_q(n);
  Array<float> d_scales(scales);
  a.gate_up = d_gate_up, a.weight = weighted ? d_weight.get() : nullptr, a.h = h, a.q = d_q, a.scales = d_scales;
  swiglu(a, {});
  Outcome out;
  a.gate_up = gate_up.data(), a.weight = weighted ? weight.data() : nullptr;
  const std::vector<Bf16> got = h.host();
  compare(out, "h", doubles(got), reference::swiglu(a), 0x1p-8, 1e-6);
  reference::quantize({.rows = a.rows,
                       .cols = a.cols,
                       .x = got.data(),
                       .q = q.data(),
                       .scales = scales.data(),
                       .scale_stride = a.scale_stride});
  compare_bits(out, "q", d_q.host(), q), compare_bits(out, "scales", d_scales.host(), scales);
  return out;
}

Outcome check_backward(Random& random) {
  SwiGluBackwardArgs a{.rows = 128 * between(random, 1, 2), .cols = 128 * between(random, 1, 6)};
  a.scale_stride = a.rows;
  const auto n = static_cast<std::size_t>(a.rows * a.cols), rows = static_cast<std::size_t>(a.rows);
  const std::vector<Bf16> x = normal_bf16(random, 2 * n, 2.0F), d_h = normal_bf16(random, n);
  std::vector<E4m3> gate_up(2 * n);
  std::vector<float> scales(2 * n / 128), weight = normal(random, rows);
  reference::quantize({.rows = a.rows,
                       .cols = 2 * a.cols,
                       .x = x.data(),
                       .q = gate_up.data(),
                       .scales = scales.data(),
                       .scale_stride = a.rows});
  const bool weighted = between(random, 0, 1) == 1;
  Array<E4m3> d_gate_up(gate_up), q(2 * n), q_t(2 * n), h_t(n);
  Array<float> d_scales(scales), d_weight(weight), q_s(2 * n / 128), q_t_s(2 * n / 128), h_t_s(n / 128), g_w(rows),
      parts(n / 128);
  Array<Bf16> dd_h(d_h);
  a.gate_up = d_gate_up, a.gate_up_scales = d_scales, a.d_h = dd_h, a.weight = weighted ? d_weight.get() : nullptr;
  a.d_q = q, a.d_scales = q_s, a.d_q_t = q_t, a.d_scales_t = q_t_s, a.h_q_t = h_t, a.h_scales_t = h_t_s;
  a.d_weight = g_w, a.d_weight_parts = parts;
  swiglu_backward(a, {});
  Outcome out;
  a.gate_up = gate_up.data(), a.gate_up_scales = scales.data(), a.d_h = d_h.data(),
  a.weight = weighted ? weight.data() : nullptr;
  const reference::SwiGluGradients expected = reference::swiglu_backward(a);
  compare_quantised(out, "d_gate_up", values(q.host(), q_s.host(), a.rows, a.rows, 2 * a.cols, false),
                    expected.d_gate_up);
  compare_quantised(out, "d_gate_up transposed", values(q_t.host(), q_t_s.host(), 0, a.rows, 2 * a.cols, true),
                    expected.d_gate_up);
  compare_quantised(out, "h transposed", values(h_t.host(), h_t_s.host(), 0, a.rows, a.cols, true), expected.h);
  compare(out, "d_weight", doubles(g_w.host()), expected.d_weight, 1e-4, 1e-3);
  return out;
}

/// The last four rows.
void check_part(Outcome& out, const SwiGluArgs& a) {
  const std::int64_t rows = 4, first = a.rows - rows, n = rows * a.cols;
  const std::vector<Bf16> gate_up = read(a.gate_up + 2 * first * a.cols, 2 * n);
  const std::vector<float> weight = read(a.weight + first, rows),
                           scales = read_columns(a.scales + first, a.cols / 128, a.scale_stride, rows);
  const SwiGluArgs host{.rows = rows, .cols = a.cols, .gate_up = gate_up.data(), .weight = weight.data()};
  compare_quantised(out, "q", values(read(a.q + first * a.cols, n), scales, rows, rows, a.cols, false),
                    reference::swiglu(host));
}

/// The last 128 rows.
void check_part(Outcome& out, const SwiGluBackwardArgs& a) {
  const std::int64_t rows = 128, first = a.rows - rows, wide = 2 * a.cols;
  const std::vector<E4m3> gate_up = read(a.gate_up + first * wide, rows * wide);
  const std::vector<float> scales = read_columns(a.gate_up_scales + first, wide / 128, a.scale_stride, rows),
                           weight = read(a.weight + first, rows);
  const std::vector<Bf16> d_h = read(a.d_h + first * a.cols, rows * a.cols);
  const reference::SwiGluGradients expected = reference::swiglu_backward({.rows = rows,
                                                                          .cols = a.cols,
                                                                          .gate_up = gate_up.data(),
                                                                          .gate_up_scales = scales.data(),
                                                                          .scale_stride = rows,
                                                                          .d_h = d_h.data(),
                                                                          .weight = weight.data()});
  compare_quantised(out, "d_gate_up",
                    values(read(a.d_q + first * wide, rows * wide),
                           read_columns(a.d_scales + first, wide / 128, a.scale_stride, rows), rows, rows, wide, false),
                    expected.d_gate_up);
  const auto turned = [&](const E4m3* q_t, const float* scales_t, std::int64_t cols) {
    return values(read_columns(q_t + first, cols, a.rows, rows), read(scales_t + first / 128 * cols, cols), 0, rows,
                  cols, true);
  };
  compare_quantised(out, "d_gate_up transposed", turned(a.d_q_t, a.d_scales_t, wide), expected.d_gate_up);
  compare_quantised(out, "h transposed", turned(a.h_q_t, a.h_scales_t, a.cols), expected.h);
  compare(out, "d_weight", doubles(read(a.d_weight + first, rows)), expected.d_weight, 1e-4, 1e-3);
}

void forward_row(std::int64_t rows, std::int64_t cols, Layer& layer) {
  const auto n = static_cast<std::size_t>(rows * cols);
  const double bytes = static_cast<double>(n) * (5 + 4.0 / 128);
  const int sets = rotating_sets(bytes);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<Bf16> gate_up(2 * all);
  fill_bf16(gate_up, 2 * all, 1.0F, 3, nullptr);
  Array<float> weight(static_cast<std::size_t>(rows)), scales(all / 128);
  fill_uniform(weight, weight.size(), -2.0F * 1, 2.0F * 1, 4, nullptr);
  Array<E4m3> q(all);
  const SwiGluArgs a{
      .rows = rows, .cols = cols, .gate_up = gate_up, .weight = weight, .q = q, .scales = scales, .scale_stride = rows};
  layer.time({.shape = fields({"rows", "cols", "backward", "quantize"}, {rows, cols, 0, 1}),
              .out_dtype = "fp8_block",
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    SwiGluArgs b = a;
                    take_turn(b.gate_up, set, 2 * n), take_turn(b.q, set, n), take_turn(b.scales, set, n / 128);
                    swiglu(b, {.stream = stream});
                  },
              .sets = sets,
              .must_of_copy = rows * cols >= 8192 * 7168 ? 0.92 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

void backward_row(std::int64_t rows, std::int64_t cols, Layer& layer) {
  const auto n = static_cast<std::size_t>(rows * cols);
  const double bytes = static_cast<double>(n) * (4 + 5 + 7 * 4.0 / 128);
  const int sets = rotating_sets(bytes);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<Bf16> x(2 * n), d_h(all);
  fill_bf16(x, 2 * n, 1.0F, 5, nullptr), fill_bf16(d_h, all, 1.0F, 6, nullptr);
  Array<E4m3> gate_up(2 * all), q(2 * all), q_t(2 * all), h_t(all);
  Array<float> scales(2 * n / 128), weight(static_cast<std::size_t>(rows)), q_s(2 * n / 128), q_t_s(2 * n / 128),
      h_t_s(n / 128);
  Array<float> d_weight(static_cast<std::size_t>(rows)), parts(n / 128);
  fill_uniform(weight, weight.size(), -2.0F * 1, 2.0F * 1, 7, nullptr);
  for (int set = 0; set < sets; ++set)
    quantize({.rows = rows,
              .cols = 2 * cols,
              .x = x,
              .q = gate_up + static_cast<std::size_t>(set) * 2 * n,
              .scales = scales,
              .scale_stride = rows},
             {});
  const SwiGluBackwardArgs a{.rows = rows,
                             .cols = cols,
                             .gate_up = gate_up,
                             .gate_up_scales = scales,
                             .scale_stride = rows,
                             .d_h = d_h,
                             .weight = weight,
                             .d_q = q,
                             .d_scales = q_s,
                             .d_q_t = q_t,
                             .d_scales_t = q_t_s,
                             .h_q_t = h_t,
                             .h_scales_t = h_t_s,
                             .d_weight = d_weight,
                             .d_weight_parts = parts};
  layer.time({.shape = fields({"rows", "cols", "backward", "quantize"}, {rows, cols, 1, 1}),
              .dtype = "fp8_block",
              .out_dtype = "fp8_block",
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    SwiGluBackwardArgs b = a;
                    take_turn(b.gate_up, set, 2 * n), take_turn(b.d_h, set, n), take_turn(b.d_q, set, 2 * n);
                    take_turn(b.d_q_t, set, 2 * n), take_turn(b.h_q_t, set, n);
                    swiglu_backward(b, {.stream = stream});
                  },
              .sets = sets,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, a); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void swiglu_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "swiglu");
  layer.check("forward", check_forward), layer.check("backward", check_backward);
  if (!layer.timing()) return;
  forward_row(8192, 18432, layer);
  for (const std::int64_t rows : {4096, 8192, 32768, 36864})
    forward_row(rows, 2048, layer), backward_row(rows, 2048, layer);
}

}  // namespace railcast::kernels
