#include "kernels/peers.hpp"

#include <cublasLt.h>

#include <array>
#include <cmath>
#include <vector>

#include "kernels/device_array.hpp"
#include "kernels/gemm_check.hpp"
#include "kernels/library.hpp"
#include "kernels/random.hpp"

namespace railcast::kernels {
namespace {

constexpr std::size_t kWorkspace = 64 << 20;

/// The functions used, by name, from libcublasLt.
struct Library : SharedLibrary {
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtMatmulDescCreate) describe = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) layout = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) prefer = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic = nullptr;
  decltype(&cublasLtMatmul) matmul = nullptr;
  cublasLtHandle_t context = nullptr;

  bool open() {
    return open_first(
               {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", "/usr/local/cuda/lib64/libcublasLt.so"}) &&
           find(create, "cublasLtCreate") && find(describe, "cublasLtMatmulDescCreate") &&
           find(set, "cublasLtMatmulDescSetAttribute") && find(layout, "cublasLtMatrixLayoutCreate") &&
           find(preference, "cublasLtMatmulPreferenceCreate") && find(prefer, "cublasLtMatmulPreferenceSetAttribute") &&
           find(heuristic, "cublasLtMatmulAlgoGetHeuristic") && find(matmul, "cublasLtMatmul") &&
           create(&context) == CUBLAS_STATUS_SUCCESS;
  }
};

/// Opened once; null where there is none.
Library* library() {
  static Library lib;
  static const bool ok = lib.open();
  return ok ? &lib : nullptr;
}

enum class Kind { block, tensor, bf16, tokens };

struct Set {
  DeviceArray<std::uint8_t> a, b, d;  // as bytes
  DeviceArray<float> a_scales, b_scales;
};

/// D[m,n] = A[m,k] B[n,k]^T. cuBLASLt is column-major: it computes D^T[n,m] with B as its transposed first operand.
class CublasLt : public Workload {
 public:
  CublasLt(Library& lib, Kind kind, std::int64_t m, std::int64_t n, std::int64_t k, int sets)
      : lib_(lib), kind_(kind), m_(m), n_(n), k_(k), workspace_(kWorkspace) {
    for (int s = 0; s < sets; ++s) sets_.push_back(make_set(static_cast<std::uint32_t>(s)));
    throw_unless(cudaDeviceSynchronize(), "filling the peer's data");
    usable_ = prepare();
  }
  bool usable() const { return usable_; }

  void run(int set, cudaStream_t stream) override {
    const Set& s = sets_[static_cast<std::size_t>(set)];
    point_scales(s);
    const float one = 1, beta = kind_ == Kind::tokens ? 1 : 0;
    lib_.matmul(lib_.context, op_, &one, s.b.get(), b_, s.a.get(), a_, &beta, s.d.get(), d_, s.d.get(), d_, &algo_,
                workspace_.get(), workspace_.bytes(), stream);
  }

  Difference check(cudaStream_t stream) override;

 private:
  Set make_set(std::uint32_t seed) const;
  bool prepare();
  DeviceArray<float> unpadded(const DeviceArray<float>& scales) const;
  void point_scales(const Set& s) {
    if (kind_ == Kind::bf16) return;
    const void *first = s.b_scales.get(), *second = s.a_scales.get();
    lib_.set(op_, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &first, sizeof first);
    lib_.set(op_, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &second, sizeof second);
  }
  std::int64_t k_blocks() const { return (k_ + 127) / 128; }
  std::int64_t padded_k_blocks() const { return (k_blocks() + 3) / 4 * 4; }
  std::int64_t stride(std::int64_t rows) const { return (rows + 3) / 4 * 4; }

  Library& lib_;
  Kind kind_;
  std::int64_t m_, n_, k_;
  DeviceArray<std::uint8_t> workspace_;
  std::vector<Set> sets_;
  cublasLtMatmulDesc_t op_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr, b_ = nullptr, d_ = nullptr;
  cublasLtMatmulAlgo_t algo_{};
  bool usable_ = false;
};

Set CublasLt::make_set(std::uint32_t seed) const {
  const bool bf16 = kind_ == Kind::bf16;
  const auto count = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  Set s;
  s.a = DeviceArray<std::uint8_t>(count(m_ * k_ * (bf16 ? 2 : 1)));
  s.b = DeviceArray<std::uint8_t>(count(n_ * k_ * (bf16 ? 2 : 1)));
  s.d = DeviceArray<std::uint8_t>(count(m_ * n_ * (kind_ == Kind::tokens ? 4 : 2)));
  s.a_scales = DeviceArray<float>(kind_ == Kind::tensor ? 1 : count(k_blocks() * stride(m_)));
  const std::int64_t weights = kind_ == Kind::tokens ? k_blocks() * stride(n_) : (n_ + 127) / 128 * padded_k_blocks();
  s.b_scales = DeviceArray<float>(kind_ == Kind::tensor ? 1 : count(weights));
  if (bf16) {
    fill_bf16(s.a.get(), count(m_ * k_), 1.0F, 2 * seed, nullptr);
    fill_bf16(s.b.get(), count(n_ * k_), 1.0F, 2 * seed + 1, nullptr);
  } else {
    fill_codes(s.a.get(), s.a.size(), 2 * seed, nullptr), fill_codes(s.b.get(), s.b.size(), 2 * seed + 1, nullptr);
  }
  fill_uniform(s.a_scales.get(), s.a_scales.size(), 0.005F, 0.02F, 1000 + seed, nullptr);
  fill_uniform(s.b_scales.get(), s.b_scales.size(), 0.005F, 0.02F, 2000 + seed, nullptr);
  if (kind_ == Kind::tokens) fill_start(reinterpret_cast<float*>(s.d.get()), s.d.size() / 4, nullptr);
  return s;
}

bool CublasLt::prepare() {
  const cudaDataType in = kind_ == Kind::bf16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
  const cudaDataType out = kind_ == Kind::tokens ? CUDA_R_32F : CUDA_R_16BF;
  const cublasOperation_t transposed = CUBLAS_OP_T;
  lib_.describe(&op_, CUBLAS_COMPUTE_32F, CUDA_R_32F);
  lib_.set(op_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
  if (kind_ == Kind::block || kind_ == Kind::tokens) {
    const cublasLtMatmulMatrixScale_t vectors = CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
    const cublasLtMatmulMatrixScale_t first =
        kind_ == Kind::tokens ? vectors : CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F;
    lib_.set(op_, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &first, sizeof first);
    lib_.set(op_, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &vectors, sizeof vectors);
  }
  if (kind_ == Kind::tensor) {
    const std::int8_t fast = 1;
    lib_.set(op_, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &fast, sizeof fast);
  }
  point_scales(sets_[0]);
  const auto u = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
  lib_.layout(&b_, in, u(k_), u(n_), k_), lib_.layout(&a_, in, u(k_), u(m_), k_),
      lib_.layout(&d_, out, u(n_), u(m_), n_);
  cublasLtMatmulPreference_t preference = nullptr;
  lib_.preference(&preference);
  lib_.prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspace, sizeof kWorkspace);
  std::array<cublasLtMatmulHeuristicResult_t, 1> found{};
  int count = 0;
  const cublasStatus_t status = lib_.heuristic(lib_.context, op_, b_, a_, d_, d_, preference, 1, found.data(), &count);
  algo_ = found[0].algo;
  return status == CUBLAS_STATUS_SUCCESS && count > 0;
}

/// `count` floats: the first of `scale`, or ones.
DeviceArray<float> constant(std::int64_t count, const DeviceArray<float>* scale) {
  const float value = scale == nullptr ? 1.0F : scale->host().at(0);
  return DeviceArray<float>(std::vector<float>(static_cast<std::size_t>(count), value));
}

/// The reference reads ceil(k/128) block scales per row of blocks, cuBLASLt wants them padded to 4.
DeviceArray<float> CublasLt::unpadded(const DeviceArray<float>& scales) const {
  const std::size_t pitch = static_cast<std::size_t>(k_blocks()) * 4, rows = static_cast<std::size_t>((n_ + 127) / 128);
  DeviceArray<float> copy(rows * static_cast<std::size_t>(k_blocks()));
  throw_unless(cudaMemcpy2D(copy.get(), pitch, scales.get(), static_cast<std::size_t>(padded_k_blocks()) * 4, pitch,
                            rows, cudaMemcpyDeviceToDevice),
               "copying scales");
  return copy;
}

Difference CublasLt::check(cudaStream_t stream) {
  const Set& s = sets_[0];
  GemmCheck c;
  c.rows = m_, c.n = n_, c.k = k_, c.a = s.a.get(), c.b = s.b.get(), c.d = s.d.get();
  c.a_scales = s.a_scales.get(), c.b_scales = s.b_scales.get(), c.a_stride = stride(m_);
  c.bf16 = kind_ == Kind::bf16, c.fp32 = kind_ == Kind::tokens;
  c.b_stride = c.fp32 ? stride(n_) : 0;
  DeviceArray<float> a_scales, b_scales;  // as the reference wants them
  if (kind_ == Kind::bf16 || kind_ == Kind::tensor) {
    a_scales = constant(k_blocks() * stride(m_), c.bf16 ? nullptr : &s.a_scales);
    b_scales = constant((n_ + 127) / 128 * k_blocks(), c.bf16 ? nullptr : &s.b_scales);
    c.a_scales = a_scales.get(), c.b_scales = b_scales.get();
  } else if (kind_ == Kind::block) {
    b_scales = unpadded(s.b_scales), c.b_scales = b_scales.get();
  }
  if (c.fp32)
    fill_start(reinterpret_cast<float*>(s.d.get()), s.d.size() / 4, stream);
  else
    poison(s.d.get(), s.d.size(), stream);
  run(0, stream);
  return check_gemm(c, stream);
}

std::unique_ptr<Workload> make(Kind kind, std::int64_t m, std::int64_t n, std::int64_t k, int sets) {
  Library* lib = library();
  if (lib == nullptr) return nullptr;
  auto work = std::make_unique<CublasLt>(*lib, kind, m, n, k, sets);
  if (!work->usable()) return nullptr;
  return work;
}

}  // namespace

std::unique_ptr<Workload> cublaslt_gemm(const std::string& impl, std::int64_t m, std::int64_t n, std::int64_t k,
                                        int sets) {
  return make(impl == "cublaslt_block" ? Kind::block
              : impl == "cublaslt_fp8" ? Kind::tensor
                                       : Kind::bf16,
              m, n, k, sets);
}

std::unique_ptr<Workload> cublaslt_wgrad(std::int64_t m, std::int64_t n, std::int64_t k, int sets) {
  return make(Kind::tokens, m, n, k, sets);
}

}  // namespace railcast::kernels
