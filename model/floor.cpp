#include "model/floor.hpp"

#include <algorithm>
#include <cmath>

namespace railcast {
namespace {

constexpr std::int64_t kTile = 128;

double tiles(std::int64_t groups, std::int64_t rows, std::int64_t cols) {
  return static_cast<double>(groups * ((rows + kTile - 1) / kTile) * ((cols + kTile - 1) / kTile));
}

/// Output tiles of a GEMM-like shape, blocks of queries of attention, 0 for the rest.
double tiles(const Shape& s) {
  return std::visit(
      [](const auto& x) -> double {
        if constexpr (requires { x.groups, x.m, x.n, x.k; }) {
          return tiles(x.groups, x.m, x.n);
        } else if constexpr (requires { x.m, x.n, x.k; }) {
          return tiles(1, x.m, x.n);
        } else if constexpr (requires { x.q_len; }) {
          return tiles(x.batch * x.heads, x.q_len, 1);
        }
        return 0;
      },
      s);
}

// K of a GEMM-like shape, 0 for the rest.
double depth(const Shape& s) {
  return std::visit(
      [](const auto& x) -> double {
        if constexpr (requires { x.m, x.n, x.k; }) return static_cast<double>(x.k);
        return 0;
      },
      s);
}

}  // namespace

// Between the two regimes a kernel overlaps loads and arithmetic imperfectly: the root of the sum of squares fits the
// tables' leave-one-out better than the larger (tests/model/calibrated_test.cpp).
double Floor::seconds() const { return std::hypot(compute, memory); }

Floor floor_of(const Machine& m, const Shape& s, std::int64_t sms) {
  Floor f;
  const double share = static_cast<double>(sms) / static_cast<double>(m.sms);
  const double rate = share * peak_of(m.chip(), dtype_of(s)).per_second();
  const double n = tiles(s), k = depth(s), given = static_cast<double>(sms);
  const double counted = k > 0 ? std::ceil(n / given) * given * 2 * kTile * kTile * k : flops(s);
  f.compute = counted / rate;
  f.memory = hbm_bytes(s) / memory_rate(m, sms).per_second();
  f.work = std::max(1.0, flops(s) > 0 ? flops(s) : hbm_bytes(s));
  f.waves = n > 0 ? n / given : 1;
  return f;
}

Coordinates coordinates(const Machine& m, const Floor& f, std::int64_t sms) {
  const double intensity = f.compute > 0 && f.memory > 0 ? std::log2(f.compute / f.memory) : 0;
  return {std::log2(f.work), std::log2(f.waves), std::log2(static_cast<double>(sms) / static_cast<double>(m.sms)),
          intensity};
}

std::string family(const Shape& s) {
  // A gather moves bytes: both FP8 formats are one.
  const bool bytes = std::holds_alternative<Permute>(s) && bytes_per_element(dtype_of(s)) == 1;
  std::string out = std::string(stem(s)) + "/" + (bytes ? "fp8" : name(dtype_of(s)));
  std::visit(
      [&](const auto& x) {
        if constexpr (requires { x.causal; }) out += x.causal ? "/causal" : "/full";
        if constexpr (requires { x.backward; }) out += x.backward ? "/backward" : "";
        if constexpr (requires { x.transpose; }) out += x.transpose ? "/transpose" : "";
        if constexpr (requires { x.quantize; }) out += x.quantize ? "/quantize" : "";
      },
      s);
  return out;
}

}  // namespace railcast
