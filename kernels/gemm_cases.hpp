// Random problems of the GEMM family: what its benches draw from.
#pragma once
#include "kernels/bench.hpp"
#include "kernels/device_array.hpp"
#include "model/gemm_tile.hpp"

namespace railcast::kernels {

/// Rounding to BF16 alone may take 2^-9 of every element, and the tensor cores' sums some 1.5e-4 of the norm: a bound
/// where few elements leave nothing to average.
constexpr double kBf16CaseTolerance = 2.5e-3;
/// FP32 results of few products: three bits above what the tensor cores keep (about 2^-13 of the largest product).
constexpr double kFp32CaseTolerance = 1e-3;

/// From none to `most`, small ones and multiples of 64 more often than not.
inline std::int64_t some_rows(Random& random, std::int64_t most) {
  const std::int64_t kind = between(random, 0, 3);
  if (kind == 0) return between(random, 0, 20);
  return kind == 1 ? between(random, 1, most / 64) * 64 : between(random, 1, most);
}
/// A multiple of 16 up to `most`; multiples of 128 often.
inline std::int64_t some_sixteens(Random& random, std::int64_t most) {
  return between(random, 0, 2) == 0 ? 128 * between(random, 1, most / 128) : 16 * between(random, 1, most / 16);
}
/// All of them half the time.
inline int some_sms(Random& random) {
  return between(random, 0, 1) == 0 ? 0 : static_cast<int>(between(random, 2, 132));
}

/// The rule's tile in half of the cases, else any that is compiled for the kernel and can run rows x n x k on these
/// SMs, so that tiles meant for large problems are tried too. `what` gains its name.
Tile some_tile(Random& random, TiledKernel kernel, std::int64_t rows, std::int64_t n, std::int64_t k, int sms,
               std::string& what);

/// Rows of each group as the published figures of the peer drew them, so that both do the same work: Python's
/// random.seed(seed), then int(m * random.uniform(0.7, 1.3)) for each group. (Its microseconds times its TFLOPS give
/// their sums.) Of seeds 1 to 3; more than 32 groups begin anew.
std::vector<int> drawn_rows(std::size_t seed, std::int64_t groups, std::int64_t m);

/// "22 30 34"
std::string listed(const std::vector<int>& rows);

/// In one case of eight: a NaN among the codes and an infinite scale. Says what it did.
std::string spoil_some(Random& random, DeviceArray<std::uint8_t>& codes, DeviceArray<float>& scales);

/// Operands and D (BF16) of a GEMM, dense or by group.
struct GemmSet {
  DeviceArray<std::uint8_t> a, b, d;
  DeviceArray<float> a_scales, b_scales;
};
/// What the workloads of these GEMMs share.
class GemmSets : public Workload {
 public:
  std::vector<std::uint8_t> output() const override { return sets_[0].d.host(); }
  std::string spoil(Random& random) { return spoil_some(random, sets_[0].a, sets_[0].a_scales); }

 protected:
  std::vector<GemmSet> sets_;
};

/// The GPU's FP64 reference (gemm_check.hpp) against the CPU's (reference.hpp) on small problems.
void gemm_check_cases(Bench& bench);

}  // namespace railcast::kernels
