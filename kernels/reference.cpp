#include "kernels/reference.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>

#include "kernels/e4m3.hpp"

namespace railcast::kernels {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const Matrix>;

constexpr std::int64_t blocks(std::int64_t x) { return (x + kScaleBlock - 1) / kScaleBlock; }
std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// One scale for the rectangle [row, row + height) x [col, col + 128).
float quantise_rectangle(const float* x, Quantised& q, std::int64_t row, std::int64_t height, std::int64_t col) {
  const std::int64_t row_end = std::min(q.rows, row + height);
  const std::int64_t col_end = std::min(q.cols, col + kScaleBlock);
  float amax = 1e-10F;
  for (std::int64_t r = row; r < row_end; ++r)
    for (std::int64_t c = col; c < col_end; ++c) amax = std::fmax(amax, std::fabs(x[r * q.cols + c]));
  const float inverse = kE4m3Max / amax;
  for (std::int64_t r = row; r < row_end; ++r)
    for (std::int64_t c = col; c < col_end; ++c)
      q.data[index(r * q.cols + c)] = e4m3_from_float(x[r * q.cols + c] * inverse);
  return amax / kE4m3Max;
}

std::vector<double> dequantise(const Quantised& q, const std::function<float(std::int64_t, std::int64_t)>& scale) {
  std::vector<double> x(index(q.rows * q.cols));
  for (std::int64_t r = 0; r < q.rows; ++r)
    for (std::int64_t c = 0; c < q.cols; ++c) {
      const std::size_t i = index(r * q.cols + c);
      x[i] = static_cast<double>(float_from_e4m3(q.data[i])) * static_cast<double>(scale(r, c));
    }
  return x;
}

/// d[m,n] += a[m, k0:k1] b[n, k0:k1]^T
void accumulate(const std::vector<double>& a, const std::vector<double>& b, std::int64_t k, std::int64_t k0,
                std::int64_t k1, Eigen::Map<Matrix> d) {
  const View av(a.data(), d.rows(), k);
  const View bv(b.data(), d.cols(), k);
  d.noalias() += av.middleCols(k0, k1 - k0) * bv.middleCols(k0, k1 - k0).transpose();
}

/// The addends of one chunk, cut below the largest exponent; exact in an int64 (33 terms of at most 15 bits).
double add_chunk(const std::uint8_t* a, const std::uint8_t* b, std::int64_t n, double sum, int fraction_bits) {
  int top = sum == 0 ? std::numeric_limits<int>::min() : std::ilogb(sum);
  for (std::int64_t i = 0; i < n; ++i) {
    const double x = float_from_e4m3(a[i]), y = float_from_e4m3(b[i]);
    if (x != 0 && y != 0) top = std::max(top, std::ilogb(x) + std::ilogb(y));
  }
  if (top == std::numeric_limits<int>::min()) return 0;
  const int shift = fraction_bits - top;
  double total = std::trunc(std::ldexp(sum, shift));
  for (std::int64_t i = 0; i < n; ++i)
    total += std::trunc(std::ldexp(static_cast<double>(float_from_e4m3(a[i])) * float_from_e4m3(b[i]), shift));
  return std::ldexp(total, -shift);
}

bool has_nan(const std::uint8_t* x, std::int64_t n) {
  return std::any_of(x, x + n, [](std::uint8_t code) { return (code & 0x7f) == 0x7f; });
}

}  // namespace

Quantised quantise_tiles(const float* x, std::int64_t rows, std::int64_t cols) {
  Quantised q{rows, cols, std::vector<std::uint8_t>(index(rows * cols)), {}, (rows + 3) / 4 * 4};
  q.scales.assign(index(blocks(cols) * q.scale_stride), 0.0F);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t b = 0; b < blocks(cols); ++b)
      q.scales[index(b * q.scale_stride + r)] = quantise_rectangle(x, q, r, 1, b * kScaleBlock);
  return q;
}

Quantised quantise_blocks(const float* x, std::int64_t rows, std::int64_t cols) {
  Quantised q{rows, cols, std::vector<std::uint8_t>(index(rows * cols)), {}, blocks(cols)};
  for (std::int64_t r = 0; r < blocks(rows); ++r)
    for (std::int64_t b = 0; b < blocks(cols); ++b)
      q.scales.push_back(quantise_rectangle(x, q, r * kScaleBlock, kScaleBlock, b * kScaleBlock));
  return q;
}

std::vector<double> dequantise_tiles(const Quantised& q) {
  return dequantise(q, [&](auto r, auto c) { return q.scales[index(c / kScaleBlock * q.scale_stride + r)]; });
}

std::vector<double> dequantise_blocks(const Quantised& q) {
  return dequantise(
      q, [&](auto r, auto c) { return q.scales[index(r / kScaleBlock * q.scale_stride + c / kScaleBlock)]; });
}

std::vector<double> gemm(const Quantised& a, const Quantised& b) {
  std::vector<double> d(index(a.rows * b.rows));
  accumulate(dequantise_tiles(a), dequantise_blocks(b), a.cols, 0, a.cols, {d.data(), a.rows, b.rows});
  return d;
}

std::vector<double> grouped_gemm_contiguous(const Quantised& a, const std::vector<Quantised>& b,
                                            const std::vector<int>& block_group) {
  const std::int64_t n = b.at(0).rows;
  std::vector<double> d(index(a.rows * n));
  const std::vector<double> values = dequantise_tiles(a);
  for (std::int64_t row = 0; row < a.rows; row += kScaleBlock) {
    const int group = block_group.at(index(row / kScaleBlock));
    if (group < 0) continue;
    const std::int64_t rows = std::min(kScaleBlock, a.rows - row);
    const std::vector<double> tile(values.begin() + row * a.cols, values.begin() + (row + rows) * a.cols);
    accumulate(tile, dequantise_blocks(b.at(index(group))), a.cols, 0, a.cols, {d.data() + row * n, rows, n});
  }
  return d;
}

std::vector<double> grouped_gemm_masked(const std::vector<Quantised>& a, const std::vector<Quantised>& b,
                                        const std::vector<int>& valid_rows) {
  std::vector<double> d;
  for (std::size_t g = 0; g < a.size(); ++g) {
    std::vector<double> full = gemm(a[g], b[g]);
    std::fill(full.begin() + valid_rows[g] * b[g].rows, full.end(), 0.0);
    d.insert(d.end(), full.begin(), full.end());
  }
  return d;
}

std::vector<double> wgrad(const Quantised& a, const Quantised& b, const std::vector<double>& d0) {
  return wgrad_grouped(a, b, {0, static_cast<int>(a.cols)}, d0);
}

std::vector<double> wgrad_grouped(const Quantised& a, const Quantised& b, const std::vector<int>& k_offsets,
                                  const std::vector<double>& d0) {
  std::vector<double> d = d0;
  d.resize(index(a.rows * b.rows) * (k_offsets.size() - 1));
  const std::vector<double> av = dequantise_tiles(a), bv = dequantise_tiles(b);
  for (std::size_t g = 0; g + 1 < k_offsets.size(); ++g)
    accumulate(av, bv, a.cols, k_offsets[g], k_offsets[g + 1], {d.data() + g * index(a.rows * b.rows), a.rows, b.rows});
  return d;
}

float dot_limited(const std::uint8_t* a, const std::uint8_t* b, std::int64_t k, int promote_every, TensorCore core) {
  if (has_nan(a, k) || has_nan(b, k)) return std::nanf("");
  float promoted = 0;
  double partial = 0;
  for (std::int64_t i = 0; i < k; i += core.chunk) {
    if (promote_every > 0 && i > 0 && i % promote_every == 0) {
      promoted += static_cast<float>(partial);
      partial = 0;
    }
    partial = add_chunk(a + i, b + i, std::min<std::int64_t>(core.chunk, k - i), partial, core.fraction_bits);
  }
  return promoted + static_cast<float>(partial);
}

Difference difference(const std::vector<double>& x, const std::vector<double>& reference) {
  double error = 0, norm = 0, worst = 0, top = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double e = x[i] - reference[i];
    error += e * e;
    norm += reference[i] * reference[i];
    worst = std::max(worst, std::isnan(e) ? std::numeric_limits<double>::infinity() : std::fabs(e));
    top = std::max(top, std::fabs(reference[i]));
  }
  if (norm == 0) return {std::sqrt(error), worst};
  return {std::sqrt(error / norm), worst / top};
}

}  // namespace railcast::kernels
