// The peers that a machine may have: cuBLASLt, found at run time. A null Workload means: not here, or refused.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/bench.hpp"

namespace railcast::kernels {

/// "cublaslt_block" (1x128 x 128x128 scales), "cublaslt_fp8" (tensor-wise, fast accumulation) and "cublaslt_bf16".
std::unique_ptr<Workload> cublaslt_gemm(const std::string& impl, std::int64_t m, std::int64_t n, std::int64_t k,
                                        int sets);
/// D (FP32) += A B^T with 1x128 scales on both sides; impl "cublaslt_block".
std::unique_ptr<Workload> cublaslt_wgrad(std::int64_t m, std::int64_t n, std::int64_t k, int sets);

}  // namespace railcast::kernels
