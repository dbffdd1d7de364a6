// The table of contents of railcast-measure. A new kernel adds one declaration and one line.
#include "kernels/bench.hpp"

namespace railcast::kernels {

void gemm_suite(Bench& bench);  // gemm_bench.cpp
void gemm_sms_suite(Bench& bench);
void gemm_tiles_suite(Bench& bench);
void grouped_gemm_contiguous_suite(Bench& bench);  // grouped_gemm_bench.cpp
void grouped_gemm_masked_suite(Bench& bench);
void wgrad_suite(Bench& bench);  // wgrad_bench.cpp
void wgrad_grouped_suite(Bench& bench);
void copy_suite(Bench& bench);      // ceilings_bench.cpp
void ceilings_suite(Bench& bench);  // ceilings_bench.cpp
void accumulation_suite(Bench& bench);
void gemm_beside_copy_suite(Bench& bench);  // beside_bench.cpp

const std::vector<Suite>& suites() {
  static const std::vector<Suite> all = {
      {"copy", "copy kernel by size and by SMs", copy_suite},
      {"ceilings", "wgmma rates, launch and graph-node cost, host cost of a call", ceilings_suite},
      {"accumulation", "tensor-core accumulation error against K, GPU and CPU emulation", accumulation_suite},
      {"gemm", "dense FP8 GEMM", gemm_suite},
      {"grouped_gemm_contiguous", "experts one after another", grouped_gemm_contiguous_suite},
      {"grouped_gemm_masked", "decode", grouped_gemm_masked_suite},
      {"wgrad", "weight gradient", wgrad_suite},
      {"wgrad_grouped", "weight gradients of experts", wgrad_grouped_suite},
      {"gemm_sms", "GEMM on fewer SMs (rows of gemm.csv)", gemm_sms_suite},
      {"gemm_beside_copy", "GEMM and a copy kernel side by side", gemm_beside_copy_suite},
      {"gemm_tiles", "every compiled tile on chosen shapes (printed only)", gemm_tiles_suite},
  };
  return all;
}

}  // namespace railcast::kernels
