#include "kernels/layer_bench.hpp"
#include "kernels/quantize_reference.hpp"
#include "kernels/rms_norm_reference.hpp"

namespace railcast::kernels::layer {
namespace {

std::int64_t some_cols(Random& random) {
  const std::int64_t wide[] = {7168, 8192, 16384, 5120};
  return between(random, 0, 9) == 0 ? wide[between(random, 0, 3)] : 8 * between(random, 1, 256);
}

Outcome check_forward(Random& random) {
  RmsNormArgs a{.rows = between(random, 1, 60), .cols = some_cols(random)};
  const bool quantised = a.cols % 128 == 0;
  a.scale_stride = a.rows;
  const auto n = static_cast<std::size_t>(a.rows * a.cols);
  const std::vector<Bf16> x = normal_bf16(random, n, 2.0F), w = normal_bf16(random, static_cast<std::size_t>(a.cols));
  Array<Bf16> d_x(x), d_w(w), y(n);
  Array<float> rstd(static_cast<std::size_t>(a.rows)), d_scales(n / 128 + 1);
  Array<E4m3> d_q(n);
  a.x = d_x, a.weight = d_w, a.y = y, a.rstd = rstd;
  if (quantised) a.q = d_q, a.scales = d_scales;
  rms_norm(a, {});
  a.x = x.data(), a.weight = w.data();
  const reference::Normed expected = reference::rms_norm(a);
  Outcome out;
  const std::vector<Bf16> got = y.host();
  compare(out, "y", doubles(got), expected.y, 0x1p-8, 1e-30);
  compare(out, "rstd", doubles(rstd.host()), expected.rstd, 1e-5, 0);
  if (!quantised) return out;
  std::vector<E4m3> q(n);
  std::vector<float> scales(n / 128);
  reference::quantize({.rows = a.rows,
                       .cols = a.cols,
                       .x = got.data(),
                       .q = q.data(),
                       .scales = scales.data(),
                       .scale_stride = a.rows});
  compare_bits(out, "q", d_q.host(), q), compare_bits(out, "scales", d_scales.host(), scales);
  return out;
}

Outcome check_backward(Random& random) {
  RmsNormBackwardArgs a{
      .rows = between(random, 1, 60), .cols = some_cols(random), .parts = static_cast<int>(between(random, 1, 40))};
  const auto n = static_cast<std::size_t>(a.rows * a.cols), cols = static_cast<std::size_t>(a.cols);
  const std::vector<Bf16> x = normal_bf16(random, n, 2.0F), w = normal_bf16(random, cols), d_y = normal_bf16(random, n);
  std::vector<float> rstd;
  for (const double r : reference::rms_norm({.rows = a.rows, .cols = a.cols, .x = x.data(), .weight = w.data()}).rstd)
    rstd.push_back(static_cast<float>(r));
  Array<Bf16> dd_x(x), dd_w(w), dd_y(d_y), d_x(n);
  Array<float> d_rstd(rstd), d_w(cols), parts(cols * static_cast<std::size_t>(a.parts));
  a.x = dd_x, a.weight = dd_w, a.rstd = d_rstd, a.d_y = dd_y, a.d_x = d_x, a.d_weight = d_w, a.d_weight_parts = parts;
  rms_norm_backward(a, {});
  const std::vector<float> once = d_w.host();
  rms_norm_backward(a, {});
  Outcome out;
  compare_bits(out, "d_weight again", d_w.host(), once);
  a.x = x.data(), a.weight = w.data(), a.rstd = rstd.data(), a.d_y = d_y.data();
  const reference::NormGradients expected = reference::rms_norm_backward(a);
  compare(out, "d_x", doubles(d_x.host()), expected.d_x, 0x1p-8, 1e-5);
  compare(out, "d_weight", doubles(once), expected.d_weight, 1e-4, 1e-4);
  return out;
}

constexpr std::int64_t kPart = 4;  ///< rows, the last ones, that timed problems are checked in

void check_part(Outcome& out, const RmsNormArgs& a) {
  const std::int64_t first = (a.rows - kPart) * a.cols, n = kPart * a.cols;
  const std::vector<Bf16> x = read(a.x + first, n), w = read(a.weight, a.cols);
  const RmsNormArgs host{.rows = kPart, .cols = a.cols, .x = x.data(), .weight = w.data()};
  compare(out, "y", doubles(read(a.y + first, n)), reference::rms_norm(host).y, 0x1p-8, 1e-30);
}
/// The codes of what the kernel itself makes of these rows.
void check_codes(Outcome& out, const RmsNormArgs& a) {
  const std::int64_t first = a.rows - kPart, n = kPart * a.cols;
  Array<Bf16> d_y(static_cast<std::size_t>(n));
  rms_norm({.rows = kPart, .cols = a.cols, .x = a.x + first * a.cols, .weight = a.weight, .y = d_y}, {});
  const std::vector<Bf16> y = d_y.host();
  std::vector<E4m3> q(y.size());
  std::vector<float> scales(y.size() / 128);
  reference::quantize(
      {.rows = kPart, .cols = a.cols, .x = y.data(), .q = q.data(), .scales = scales.data(), .scale_stride = kPart});
  compare_bits(out, "q", read(a.q + first * a.cols, n), q);
  compare_bits(out, "scales", read_columns(a.scales + first, a.cols / 128, a.scale_stride, kPart), scales);
}
/// d_x of these rows, d_weight of the first and the last column.
void check_part(Outcome& out, const RmsNormBackwardArgs& a) {
  const std::int64_t first = a.rows - kPart, at = first * a.cols, n = kPart * a.cols;
  const std::vector<Bf16> x = read(a.x + at, n), w = read(a.weight, a.cols), d_y = read(a.d_y + at, n);
  const std::vector<float> rstd = read(a.rstd, a.rows);
  const RmsNormBackwardArgs host{
      .rows = kPart, .cols = a.cols, .x = x.data(), .weight = w.data(), .rstd = rstd.data() + first, .d_y = d_y.data()};
  compare(out, "d_x", doubles(read(a.d_x + at, n)), reference::rms_norm_backward(host).d_x, 0x1p-8, 1e-5);
  for (const std::int64_t column : {std::int64_t{0}, a.cols - 1}) {
    const auto down_x = read_columns(a.x + column, a.rows, a.cols, 1),
               down_d_y = read_columns(a.d_y + column, a.rows, a.cols, 1);
    double sum = 0;
    for (std::size_t r = 0; r < rstd.size(); ++r)
      sum += static_cast<double>(float_from_bf16(down_x[r])) * float_from_bf16(down_d_y[r]) * rstd[r];
    compare(out, "d_weight", doubles(read(a.d_weight + column, 1)), {sum}, 1e-4, 1e-2);
  }
}

void rows_of(std::int64_t rows, std::int64_t cols, Layer& layer) {
  const auto n = static_cast<std::size_t>(rows * cols);
  const int parts = 132;
  const int sets = rotating_sets(static_cast<double>(n) * 3);
  const std::size_t all = n * static_cast<std::size_t>(sets);
  Array<Bf16> x(all), w(static_cast<std::size_t>(cols)), y(all), d_y(all);
  Array<float> rstd(static_cast<std::size_t>(rows)), d_w(static_cast<std::size_t>(cols)),
      scratch(static_cast<std::size_t>(cols * parts)), scales(all / 128);
  Array<E4m3> q(all);
  fill_bf16(x, all, 1.0F, 1, nullptr), fill_bf16(w, w.size(), 1.0F, 2, nullptr), fill_bf16(d_y, all, 1.0F, 3, nullptr);
  const RmsNormArgs f{.rows = rows, .cols = cols, .x = x, .weight = w, .y = y, .rstd = rstd};
  RmsNormArgs fq = f;
  fq.y = nullptr, fq.q = q, fq.scales = scales, fq.scale_stride = rows;
  const RmsNormBackwardArgs b{.rows = rows,
                              .cols = cols,
                              .x = x,
                              .weight = w,
                              .rstd = rstd,
                              .d_y = d_y,
                              .d_x = y,
                              .d_weight = d_w,
                              .d_weight_parts = scratch,
                              .parts = parts};
  rms_norm(f, {});  // rstd, for the backward pass
  const auto forward = [=](const RmsNormArgs& args) {
    return [=](int set, cudaStream_t stream) {
      RmsNormArgs turn = args;
      take_turn(turn.x, set, n), take_turn(turn.y, set, n), take_turn(turn.q, set, n);
      take_turn(turn.scales, set, n / 128);
      rms_norm(turn, {.stream = stream});
    };
  };
  const auto shape = [&](int backward) { return fields({"rows", "cols", "backward"}, {rows, cols, backward}); };
  layer.time({.shape = shape(0),
              .bytes = static_cast<double>(n) * 4,
              .run = forward(f),
              .sets = sets,
              .must_of_copy = cols == 7168 ? 0.92 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, f); }});
  layer.time({.shape = shape(0),
              .out_dtype = "fp8_block",
              .impl = "railcast_quantize",
              .bytes = static_cast<double>(n) * (3 + 4.0 / 128),
              .run = forward(fq),
              .sets = sets,
              .part = [=](Outcome& o, const auto& run) { run(), check_codes(o, fq); }});
  layer.time({.shape = shape(1),
              .bytes = static_cast<double>(n) * 6,
              .run =
                  [=](int set, cudaStream_t stream) {
                    RmsNormBackwardArgs turn = b;
                    take_turn(turn.x, set, n), take_turn(turn.d_y, set, n), take_turn(turn.d_x, set, n);
                    rms_norm_backward(turn, {.stream = stream});
                  },
              .sets = sets,
              .must_of_copy = cols == 7168 ? 0.85 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, b); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void rms_norm_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "rms_norm");
  layer.check("forward", check_forward), layer.check("backward", check_backward);
  if (!layer.timing()) return;
  for (const auto& [rows, cols] :
       {std::pair{8192, 7168}, {8192, 1536}, {8192, 512}, {4096, 7168}, {4096, 1536}, {4096, 512}})
    rows_of(rows, cols, layer);
}

}  // namespace railcast::kernels
