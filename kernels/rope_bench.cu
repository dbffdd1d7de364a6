#include "kernels/layer_bench.hpp"
#include "kernels/rope_reference.hpp"

namespace railcast::kernels::layer {
namespace {

void angles(std::int64_t positions, std::int64_t half, std::vector<float>& cosine, std::vector<float>& sine) {
  for (std::int64_t p = 0; p < positions; ++p)
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
      cosine.push_back(static_cast<float>(std::cos(angle))), sine.push_back(static_cast<float>(std::sin(angle)));
    }
}

Outcome check(Random& random) {
  RopeArgs a{.rows = between(random, 1, 400),
             .cols = 16 * between(random, 1, 16),
             .rows_per_position = between(random, 1, 20)};
  a.row_stride = a.cols + 8 * between(random, 0, 20);
  a.interleaved = between(random, 0, 1) == 1, a.inverse = between(random, 0, 1) == 1;
  std::vector<float> cosine, sine;
  angles(a.rows / a.rows_per_position + 1, a.cols / 2, cosine, sine);
  const std::vector<Bf16> x = normal_bf16(random, static_cast<std::size_t>(a.rows * a.row_stride));
  Array<Bf16> d_x(x);
  Array<float> d_cosine(cosine), d_sine(sine);
  a.x = d_x, a.cosine = d_cosine, a.sine = d_sine;
  rope(a, {});
  const std::vector<Bf16> got = d_x.host();
  std::vector<Bf16> before = x;
  a.x = before.data(), a.cosine = cosine.data(), a.sine = sine.data();
  const std::vector<double> expected = reference::rope(a);
  std::vector<double> rotated;
  Outcome out;
  for (std::int64_t i = 0; i < a.rows * a.row_stride; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (i % a.row_stride < a.cols)
      rotated.push_back(float_from_bf16(got[at]));
    else if (got[at] != x[at])
      out.fail("an element beside the rotated columns was changed");
  }
  compare(out, "x", rotated, expected, 0x1p-8, 1e-6);
  return out;
}

/// The heads of the last token; they are rotated in place. cosine, sine: of its position.
void check_part(Outcome& out, const RopeArgs& a, const float* cosine, const float* sine,
                const std::function<void()>& run) {
  const std::int64_t heads = a.rows_per_position, first = (a.rows - heads) * a.row_stride;
  std::vector<Bf16> x = read(a.x + first, heads * a.row_stride);
  run();
  const std::vector<double> got = doubles(read_columns(a.x + first, heads, a.row_stride, a.cols));
  const std::vector<double> expected = reference::rope({.rows = heads,
                                                        .cols = a.cols,
                                                        .row_stride = a.row_stride,
                                                        .rows_per_position = heads,
                                                        .x = x.data(),
                                                        .cosine = cosine,
                                                        .sine = sine});
  compare(out, "x", got, expected, 0x1p-8, 1e-6);
}

/// DeepSeek-V3's query: 128 heads, 64 rotated of 192 elements (or packed).
void query_row(std::int64_t stride, Layer& layer) {
  const std::int64_t tokens = 4096, heads = 128, cols = 64;
  std::vector<float> cosine, sine;
  angles(tokens, cols / 2, cosine, sine);
  Array<float> c(cosine), s(sine);
  const double bytes = static_cast<double>(tokens * heads * cols * 4 + tokens * cols * 4);
  const int sets = rotating_sets(bytes);
  const auto n = static_cast<std::size_t>(tokens * heads * stride);
  Array<Bf16> x(n * static_cast<std::size_t>(sets));
  fill_bf16(x, x.size(), 1.0F, 1, nullptr);
  const RopeArgs a{.rows = tokens * heads,
                   .cols = cols,
                   .row_stride = stride,
                   .rows_per_position = heads,
                   .x = x,
                   .cosine = c,
                   .sine = s};
  layer.time({.shape = fields({"rows", "cols"}, {tokens, heads * cols}),
              .impl = stride == cols ? "railcast" : "railcast_stride" + std::to_string(stride),
              .bytes = bytes,
              .run =
                  [=](int set, cudaStream_t stream) {
                    RopeArgs b = a;
                    take_turn(b.x, set, n);
                    rope(b, {.stream = stream});
                  },
              .sets = sets,
              .part =
                  [=, &cosine, &sine](Outcome& o, const auto& run) {
                    const std::int64_t last = (tokens - 1) * cols / 2;
                    check_part(o, a, cosine.data() + last, sine.data() + last, run);
                  }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void rope_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "rope");
  layer.check("rotate", layer::check);
  if (!layer.timing()) return;
  query_row(64, layer), query_row(192, layer);
}

}  // namespace railcast::kernels
