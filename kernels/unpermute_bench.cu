#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/layer_bench.hpp"
#include "kernels/unpermute_reference.hpp"

namespace railcast::kernels::layer {
namespace {

/// Every choice its own row, in a random order; some choices have none.
std::vector<int> some_rows(Random& random, std::size_t choices) {
  std::vector<int> rows(choices);
  std::iota(rows.begin(), rows.end(), 0);
  std::shuffle(rows.begin(), rows.end(), random);
  for (int& row : rows)
    if (between(random, 0, 9) == 0) row = -1;
  return rows;
}

/// Weights as they lie in a window's notes, of which not all are in use.
struct Apart {
  std::int64_t stride;
  Array<float> weights;
  Array<int> used;
  Apart(Random& random, const std::vector<float>& dense, int top_k, std::int64_t tokens)
      : stride(top_k + between(random, 0, 5)),
        weights(spread(dense, static_cast<std::size_t>(top_k))),
        used(std::vector<int>{static_cast<int>(between(random, tokens / 2, tokens))}) {}

 private:
  std::vector<float> spread(const std::vector<float>& dense, std::size_t top_k) const {
    std::vector<float> all(dense.size() / top_k * static_cast<std::size_t>(stride), NAN);
    for (std::size_t i = 0; i < dense.size(); ++i)
      all[i / top_k * static_cast<std::size_t>(stride) + i % top_k] = dense[i];
    return all;
  }
};

Outcome check_forward(Random& random) {
  UnpermuteArgs a{.tokens = between(random, 1, 60),
                  .cols = 8 * between(random, 1, 300),
                  .top_k = static_cast<int>(between(random, 1, 12))};
  const auto choices = static_cast<std::size_t>(a.tokens * a.top_k);
  const std::vector<int> row_of = some_rows(random, choices);
  const std::vector<Bf16> y = normal_bf16(random, choices * static_cast<std::size_t>(a.cols));
  const std::vector<float> weights = normal(random, choices);
  const bool weighted = between(random, 0, 3) != 0;
  const Apart apart(random, weights, a.top_k, a.tokens);
  Array<int> d_row_of(row_of);
  Array<Bf16> d_y(y), out(static_cast<std::size_t>(a.tokens * a.cols));
  a.y = d_y, a.row_of = d_row_of, a.weights = weighted ? apart.weights.get() : nullptr, a.out = out;
  a.weight_stride = apart.stride, a.used = apart.used;
  unpermute(a, {});
  a.y = y.data(), a.row_of = row_of.data(), a.weights = weighted ? weights.data() : nullptr;
  std::vector<double> expected = reference::unpermute(a);
  const double untouched = static_cast<double>(float_from_bf16(0xA5A5));  // as fresh arrays are
  std::fill(expected.begin() + apart.used.host()[0] * a.cols, expected.end(), untouched);
  Outcome outcome;
  compare(outcome, "out", doubles(out.host()), expected, 0x1p-8, 1e-5);
  return outcome;
}

Outcome check_backward(Random& random) {
  UnpermuteBackwardArgs a{.tokens = between(random, 1, 40),
                          .cols = 8 * between(random, 1, 300),
                          .top_k = static_cast<int>(between(random, 1, 12))};
  const auto choices = static_cast<std::size_t>(a.tokens * a.top_k), n = choices * static_cast<std::size_t>(a.cols);
  const std::vector<int> row_of = some_rows(random, choices);
  const std::vector<Bf16> y = normal_bf16(random, n),
                          d_out = normal_bf16(random, n / static_cast<std::size_t>(a.top_k));
  const std::vector<float> weights = normal(random, choices);
  Array<int> d_row_of(row_of);
  Array<Bf16> d_y_in(y), dd_out(d_out), d_y(n);
  Array<float> d_weights_in(weights), d_weights(choices);
  d_y.zero();
  a.d_out = dd_out, a.y = d_y_in, a.row_of = d_row_of, a.weights = d_weights_in, a.d_y = d_y, a.d_weights = d_weights;
  unpermute_backward(a, {});
  a.d_out = d_out.data(), a.y = y.data(), a.row_of = row_of.data(), a.weights = weights.data();
  const reference::UnpermuteGradients expected = reference::unpermute_backward(a, static_cast<std::int64_t>(choices));
  Outcome outcome;
  compare(outcome, "d_y", doubles(d_y.host()), expected.d_y, 0x1p-8, 1e-30);
  compare(outcome, "d_weights", doubles(d_weights.host()), expected.d_weights, 1e-4, 1e-3);
  return outcome;
}

/// Rows of the last tokens' choices, brought together: choice i's is i, or -1 as on the GPU.
struct LastChoices {
  static constexpr std::int64_t tokens = 4;
  std::vector<int> rows, there;  ///< of each choice: here, and on the GPU
  LastChoices(const int* row_of, std::int64_t all_tokens, int top_k)
      : there(read(row_of + (all_tokens - tokens) * top_k, tokens * top_k)) {
    for (std::size_t i = 0; i < there.size(); ++i) rows.push_back(there[i] < 0 ? -1 : static_cast<int>(i));
  }
  std::vector<Bf16> gather(const Bf16* y, std::int64_t cols) const {
    std::vector<Bf16> all;
    for (const int row : there) {
      const std::vector<Bf16> one =
          row < 0 ? std::vector<Bf16>(static_cast<std::size_t>(cols)) : read(y + row * cols, cols);
      all.insert(all.end(), one.begin(), one.end());
    }
    return all;
  }
};

void check_part(Outcome& out, const UnpermuteArgs& a) {
  const LastChoices last(a.row_of, a.tokens, a.top_k);
  const std::int64_t first = a.tokens - last.tokens;
  const std::vector<Bf16> y = last.gather(a.y, a.cols);
  const std::vector<float> weights = read(a.weights + first * a.top_k, last.tokens * a.top_k);
  const UnpermuteArgs host{.tokens = last.tokens,
                           .cols = a.cols,
                           .top_k = a.top_k,
                           .y = y.data(),
                           .row_of = last.rows.data(),
                           .weights = weights.data()};
  compare(out, "out", doubles(read(a.out + first * a.cols, last.tokens * a.cols)), reference::unpermute(host), 0x1p-8,
          1e-5);
}
void check_part(Outcome& out, const UnpermuteBackwardArgs& a) {
  const LastChoices last(a.row_of, a.tokens, a.top_k);
  const std::int64_t first = a.tokens - last.tokens, choices = last.tokens * a.top_k;
  const std::vector<Bf16> y = last.gather(a.y, a.cols), d_out = read(a.d_out + first * a.cols, last.tokens * a.cols);
  const std::vector<float> weights = read(a.weights + first * a.top_k, choices);
  const UnpermuteBackwardArgs host{.tokens = last.tokens,
                                   .cols = a.cols,
                                   .top_k = a.top_k,
                                   .d_out = d_out.data(),
                                   .y = y.data(),
                                   .row_of = last.rows.data(),
                                   .weights = weights.data()};
  const reference::UnpermuteGradients expected = reference::unpermute_backward(host, choices);
  compare(out, "d_y", doubles(last.gather(a.d_y, a.cols)), expected.d_y, 0x1p-8, 1e-30);
  compare(out, "d_weights", doubles(read(a.d_weights + first * a.top_k, choices)), expected.d_weights, 1e-4, 5e-3);
}

/// The first choices of every token, then the second, until there are `rows`; the others are elsewhere.
void rows_of(std::int64_t tokens, std::int64_t rows, std::int64_t cols, Layer& layer) {
  const int top_k = 8;
  const auto choices = static_cast<std::size_t>(tokens * top_k), n = static_cast<std::size_t>(rows * cols),
             sums = static_cast<std::size_t>(tokens * cols);
  Random random(1);
  std::vector<int> order(static_cast<std::size_t>(rows)), rows_of_choices(choices, -1);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  for (std::int64_t i = 0; i < rows; ++i)
    rows_of_choices[static_cast<std::size_t>(i % tokens * top_k + i / tokens)] = order[static_cast<std::size_t>(i)];
  Array<int> row_of(rows_of_choices);
  Array<Bf16> y(n), out(sums), d_y(n);
  Array<float> weights(choices), d_weights(choices);
  fill_bf16(y, n, 1.0F, 1, nullptr), fill_bf16(out, sums, 1.0F, 2, nullptr),
      fill_uniform(weights, choices, 0.0F, 1.0F, 3, nullptr);
  const UnpermuteArgs f{
      .tokens = tokens, .cols = cols, .top_k = top_k, .y = y, .row_of = row_of, .weights = weights, .out = out};
  const UnpermuteBackwardArgs b{.tokens = tokens,
                                .cols = cols,
                                .top_k = top_k,
                                .d_out = out,
                                .y = y,
                                .row_of = row_of,
                                .weights = weights,
                                .d_y = d_y,
                                .d_weights = d_weights};
  const Fields shape = fields({"tokens", "rows", "cols"}, {tokens, rows, cols});
  const bool full = rows >= 8 * tokens;  // what is asked for is of all eight choices; a rank's tokens have few here
  layer.time({.shape = shape,
              .bytes = static_cast<double>(n + sums) * 2,
              .run = [=](int, cudaStream_t s) { unpermute(f, {.stream = s}); },
              .must_of_copy = full ? 0.92 : 0,
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, f); }});
  layer.time({.shape = shape,
              .impl = "railcast_backward",
              .bytes = static_cast<double>(2 * n + sums) * 2,
              .run = [=](int, cudaStream_t s) { unpermute_backward(b, {.stream = s}); },
              .part = [=](Outcome& o, const auto& run) { run(), check_part(o, b); }});
}

}  // namespace
}  // namespace railcast::kernels::layer

namespace railcast::kernels {

void unpermute_suite(Bench& bench) {
  using namespace layer;
  Layer layer(bench, "unpermute");
  layer.check("forward", check_forward), layer.check("backward", check_backward);
  if (!layer.timing()) return;
  rows_of(8192, 65536, 7168, layer), rows_of(4096, 32768, 7168, layer);
  rows_of(35370, 36864, 7168, layer);  // DeepSeek-V3 at expert-parallel 64
}

}  // namespace railcast::kernels
