// The table of contents of railcast-measure. A new kernel adds one declaration and one line.
#include "kernels/bench.hpp"

namespace railcast::kernels {

void copy_suite(Bench& bench);      // copy_bench.cpp
void ceilings_suite(Bench& bench);  // ceilings_bench.cpp
void accumulation_suite(Bench& bench);
void gemm_suite(Bench& bench);  // gemm_bench.cpp
void gemm_cases(Bench& bench);
void gemm_sms_suite(Bench& bench);
void gemm_tiles_suite(Bench& bench);
void grouped_gemm_contiguous_suite(Bench& bench);  // grouped_gemm_bench.cpp
void grouped_gemm_contiguous_cases(Bench& bench);
void grouped_gemm_masked_suite(Bench& bench);
void grouped_gemm_masked_cases(Bench& bench);
void wgrad_suite(Bench& bench);  // wgrad_bench.cpp
void wgrad_cases(Bench& bench);
void wgrad_grouped_suite(Bench& bench);
void wgrad_grouped_cases(Bench& bench);
void gemm_beside_copy_suite(Bench& bench);  // beside_bench.cpp
// <name>_bench.cu; they run their random cases before the first timed row, and those alone where --cases asks
void quantize_suite(Bench& bench);
void swiglu_suite(Bench& bench);
void rms_norm_suite(Bench& bench);
void rope_suite(Bench& bench);
void gate_suite(Bench& bench);
void permute_suite(Bench& bench);
void unpermute_suite(Bench& bench);
void cross_entropy_suite(Bench& bench);
void adamw_suite(Bench& bench);
void dispatch_suite(Bench& bench);
void dispatch_tune_suite(Bench& bench);
void combine_suite(Bench& bench);
void combine_tune_suite(Bench& bench);
void low_latency_suite(Bench& bench);
void requantize_suite(Bench& bench);
void layer_v3_suite(Bench& bench);
void nvlink_suite(Bench& bench);
void nvlink_checks(Bench& bench);
void nvlink_ipc_suite(Bench& bench);
void nvlink_beside_suite(Bench& bench);  // nvlink_beside_bench.cu

const std::vector<Suite>& suites() {
  static const std::vector<Suite> all = {
      {"ceilings", "copy", "copy kernel by size and by SMs", copy_suite},
      {"ceilings", "ceilings", "wgmma rates, launch and graph-node cost, host cost of a call", ceilings_suite},
      {"ceilings", "accumulation", "tensor-core accumulation error against K, GPU and CPU emulation",
       accumulation_suite},
      {"gemms", "gemm", "dense FP8 GEMM", gemm_suite, gemm_cases},
      {"gemms", "grouped_gemm_contiguous", "experts one after another", grouped_gemm_contiguous_suite,
       grouped_gemm_contiguous_cases},
      {"gemms", "grouped_gemm_masked", "decode", grouped_gemm_masked_suite, grouped_gemm_masked_cases},
      {"gemms", "wgrad", "weight gradient", wgrad_suite, wgrad_cases},
      {"gemms", "wgrad_grouped", "weight gradients of experts", wgrad_grouped_suite, wgrad_grouped_cases},
      {"gemms", "gemm_sms", "GEMM on fewer SMs (rows of gemm.csv)", gemm_sms_suite},
      {"gemms", "gemm_beside_copy", "GEMM and a copy kernel side by side", gemm_beside_copy_suite},
      {"printed", "gemm_tiles", "every compiled tile on chosen shapes (printed only)", gemm_tiles_suite},
      {"layer", "quantize", "BF16 to E4M3 with scales, and its transpose", quantize_suite, quantize_suite},
      {"layer", "swiglu", "SwiGLU and quantise; backward", swiglu_suite, swiglu_suite},
      {"layer", "rms_norm", "RMSNorm; backward", rms_norm_suite, rms_norm_suite},
      {"layer", "rope", "rotary positions", rope_suite, rope_suite},
      {"layer", "gate", "router: scores, groups, top-k; backward", gate_suite, gate_suite},
      {"layer", "permute", "tokens to expert-contiguous rows", permute_suite, permute_suite},
      {"layer", "unpermute", "weighted sums back; backward", unpermute_suite, unpermute_suite},
      {"layer", "cross_entropy", "loss and gradient in place", cross_entropy_suite, cross_entropy_suite},
      {"layer", "dispatch", "tokens to the ranks of their experts, 8 virtual ranks", dispatch_suite, dispatch_suite},
      {"layer", "combine", "rows back and added up, 8 virtual ranks", combine_suite, combine_suite},
      {"layer", "low_latency", "dispatch and combine for decode, 8 virtual ranks", low_latency_suite,
       low_latency_suite},
      {"layer", "requantize", "E4M3 along columns to E4M3 along rows", requantize_suite, requantize_suite},
      {"layer", "layer_v3", "a MoE layer, 8 virtual ranks, forward and backward (moe_layer.csv)", layer_v3_suite,
       layer_v3_suite},
      {"tune", "dispatch_tune", "dispatch by SMs and chunk (--tune dispatch)", dispatch_tune_suite},
      {"tune", "combine_tune", "combine by SMs and chunk (--tune combine)", combine_tune_suite},
      {"nvlink", "nvlink", "dispatch and combine between this host's GPUs, plain peer copies, NCCL", nvlink_suite,
       nvlink_checks},
      {"nvlink", "nvlink_ipc", "dispatch and combine between processes by CUDA IPC (random cases)", nvlink_ipc_suite,
       nvlink_ipc_suite},
      {"nvlink", "nvlink_beside", "GEMMs beside dispatch and combine between this host's GPUs", nvlink_beside_suite},
      {"layer", "adamw", "optimiser, and the global norm", adamw_suite, adamw_suite},
  };
  return all;
}

}  // namespace railcast::kernels
