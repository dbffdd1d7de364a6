#include "kernels/permute_reference.hpp"

#include "kernels/unpermute_reference.hpp"
#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

const std::vector<int> kChosen = {2, 0, -1, 2, 0, 2};  // three tokens, top 2 of three experts; expert 1 gets nobody

reference::PermuteMap small_map() {
  return reference::permute_map({.tokens = 3, .experts = 3, .top_k = 2, .chosen = kChosen.data(), .rows = 384});
}

}  // namespace

TEST_CASE("every expert starts on a multiple of 128 and keeps its tokens' order", "[kernels][permute]") {
  const reference::PermuteMap map = small_map();
  CHECK(map.offsets == std::vector<int>{0, 128, 128, 256});
  CHECK(map.row_of == std::vector<int>{128, 0, -1, 129, 1, 130});
  CHECK(map.block_group == std::vector<int>{0, 2, -1});
  CHECK(map.choice_of[0] == 1);
  CHECK(map.choice_of[130] == 5);
  CHECK(map.choice_of[131] == -1);
  CHECK(most_rows(3, 2, 3) == 384);
}

TEST_CASE("permute copies rows and scales, and clears the padding", "[kernels][permute]") {
  const reference::PermuteMap map = small_map();
  std::vector<char> x(3 * 16), out(384 * 16, 'x');
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<char>('a' + i / 16);
  const std::vector<float> scales = {1, 2, 3};
  std::vector<float> scale_rows(384, -1.0F);
  reference::permute({.tokens = 3,
                      .rows = 384,
                      .row_bytes = 16,
                      .top_k = 2,
                      .x = x.data(),
                      .out = out.data(),
                      .row_of = map.row_of.data(),
                      .choice_of = map.choice_of.data(),
                      .end = &map.offsets[3],
                      .groups = 1,
                      .scales = scales.data(),
                      .token_stride = 1,
                      .scales_out = scale_rows.data(),
                      .scale_stride = 384});
  CHECK(out[0] == 'a');
  CHECK(out[129 * 16 + 15] == 'b');
  CHECK(out[2 * 16] == 0);
  CHECK(out[256 * 16] == 'x');  // behind the last expert: not touched
  CHECK(scale_rows[130] == 3);
  CHECK(scale_rows[131] == 0);
  CHECK(scale_rows[300] == -1);
}

TEST_CASE("unpermuting what was permuted gives each token times its weights", "[kernels][unpermute]") {
  const reference::PermuteMap map = small_map();
  const std::vector<Bf16> x = normal_bf16(3 * 8, 1);
  std::vector<Bf16> rows(384 * 8);
  reference::permute({.tokens = 3,
                      .rows = 384,
                      .row_bytes = 16,
                      .top_k = 2,
                      .x = x.data(),
                      .out = rows.data(),
                      .row_of = map.row_of.data(),
                      .choice_of = map.choice_of.data(),
                      .end = &map.offsets[3]});
  const std::vector<float> weights = {0.25F, 0.5F, 100.0F, 0.5F, 1.0F, 2.0F};  // 100: a choice that went elsewhere
  const std::vector<double> out = reference::unpermute(
      {.tokens = 3, .cols = 8, .top_k = 2, .y = rows.data(), .row_of = map.row_of.data(), .weights = weights.data()});
  const double sums[] = {0.75, 0.5, 3.0};
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(out[i] == Approx(sums[i / 8] * float_from_bf16(x[i])));
}

TEST_CASE("unpermute's backward is its transpose", "[kernels][unpermute]") {
  const reference::PermuteMap map = small_map();
  const std::vector<Bf16> y = normal_bf16(384 * 8, 1), d_out = normal_bf16(3 * 8, 2);
  const std::vector<float> weights = normal(6, 3);
  const UnpermuteBackwardArgs args{.tokens = 3,
                                   .cols = 8,
                                   .top_k = 2,
                                   .d_out = d_out.data(),
                                   .y = y.data(),
                                   .row_of = map.row_of.data(),
                                   .weights = weights.data()};
  const reference::UnpermuteGradients g = reference::unpermute_backward(args, 384);
  const std::vector<double> out = reference::unpermute(
      {.tokens = 3, .cols = 8, .top_k = 2, .y = y.data(), .row_of = map.row_of.data(), .weights = weights.data()});
  double outside = 0, inside = 0, by_weight = 0;  // <d_out, A y> = <A^T d_out, y> = <d_weights, weights>
  for (std::size_t i = 0; i < out.size(); ++i) outside += out[i] * float_from_bf16(d_out[i]);
  for (std::size_t i = 0; i < y.size(); ++i) inside += g.d_y[i] * float_from_bf16(y[i]);
  for (std::size_t i = 0; i < 6; ++i) by_weight += g.d_weights[i] * weights[i];
  CHECK(outside == Approx(inside));
  CHECK(outside == Approx(by_weight));
  CHECK(g.d_weights[2] == 0);
}
