// Oracles: time x rate of published and measured kernels gives back the FLOPs and bytes they counted.
#include "model/shapes.hpp"

#include <set>
#include <vector>

#include "tests/catch.hpp"

using namespace railcast;

namespace {
/// One of every shape.
const std::vector<Shape> kEvery{Gemm{4096, 7168, 2048, Dtype::fp8_block},
                                GroupedGemm{4, 8192, 4096, 7168, Dtype::fp8_block},
                                GroupedGemmMasked{4, 256, 4096, 7168, Dtype::fp8_block},
                                Wgrad{7168, 2048, 4096, Dtype::fp8_block},
                                WgradGrouped{4, 4096, 7168, 8192, Dtype::fp8_block},
                                Attention{1, 4096, 4096, 128, 128, 192, 128},
                                Quantize{8192, 7168},
                                SwiGlu{32768, 2048},
                                RmsNorm{8192, 7168},
                                Rope{4096, 8192},
                                Gate{4096, 256, 8, 8},
                                Permute{4096, 32768, 7168, Dtype::fp8_block},
                                Unpermute{4096, 32768, 7168},
                                Add{4096, 7168},
                                Embedding{4096, 7168},
                                CrossEntropy{4096, 129280},
                                AdamW{1000},
                                Dispatch{4096, 7168, 256, 8, 64, 8, 4},
                                Combine{4096, 7168, 256, 8, 64, 8, 4},
                                AllReduce{1 << 20, 8, 8},
                                AllGather{1 << 20, 8, 8},
                                ReduceScatter{1 << 20, 8, 8},
                                AllToAll{1 << 20, 8, 8},
                                SendRecv{1 << 20, true}};
}  // namespace

TEST_CASE("every shape has a stem of its own and a line that begins with it", "[model][shapes]") {
  REQUIRE(kEvery.size() == std::variant_size_v<Shape>);
  std::set<std::string> stems;
  for (std::size_t i = 0; i < kEvery.size(); ++i) {
    REQUIRE(kEvery[i].index() == i);
    stems.insert(stem(kEvery[i]));
    CHECK(describe(kEvery[i]).rfind(std::string(stem(kEvery[i])) + " ", 0) == 0);
    CHECK(hbm_bytes(kEvery[i]) > 0);
  }
  CHECK(stems.size() == kEvery.size());
}

TEST_CASE("a shape is described by its sizes and precision", "[model][shapes]") {
  CHECK(describe(Gemm{4096, 7168, 2048, Dtype::fp8_block}) == "gemm 4096x7168x2048 fp8_block");
  CHECK(describe(GroupedGemm{4, 8192, 4096, 7168}) == "grouped_gemm_contiguous 4 x 8192x4096x7168 bf16");
  CHECK(describe(Attention{1, 4096, 4096, 128, 8, 192, 128, true, true}) ==
        "attention 1x4096x4096 heads 128 kv_heads 8 d_qk 192 d_v 128 causal backward");
  CHECK(describe(Quantize{8, 128, true}) == "quantize 8x128 transpose");
  CHECK(describe(AllGather{1024, 8, 4}) == "all_gather bytes 1024 ranks 8 per_node 4");
}

TEST_CASE("FLOPs are those that measured rates imply", "[model][shapes]") {
  // Time and rate on one H100 SXM, 2026-11-23: DeepGEMM 54e2261, FlashAttention-3 0251105a.
  CHECK(flops(Gemm{4096, 4096, 7168, Dtype::fp8_block}) == Approx(169.3e-6 * 1421e12).epsilon(0.002));
  CHECK(flops(GroupedGemm{8, 4096, 4096, 7168}) == Approx(1370.8e-6 * 1404e12).epsilon(0.002));
  CHECK(flops(WgradGrouped{8, 4096, 7168, 4096}) == Approx(1952.3e-6 * 986e12).epsilon(0.002));
  Attention a{1, 4096, 4096, 128, 128, 192, 128, true, false};
  CHECK(flops(a) == Approx(994e-6 * 691e12).epsilon(0.002));
  a.backward = true;
  CHECK(flops(a) == Approx(4357e-6 * 410e12).epsilon(0.002));
  CHECK(flops(AllReduce{1 << 20, 8, 8}) == 0);
}

TEST_CASE("an unmasked attention has twice the FLOPs of a causal one", "[model][shapes]") {
  Attention a{2, 512, 512, 16, 4, 128, 128, true, GENERATE(false, true)};
  const double causal = flops(a);
  a.causal = false;
  CHECK(flops(a) == 2 * causal);
}

TEST_CASE("bytes are those that measured bandwidths count", "[model][shapes]") {
  // Time and algorithmic GB/s on one H100 SXM, 2026-11-23, Triton peers.
  CHECK(hbm_bytes(Quantize{8192, 7168}) == Approx(68.5e-6 * 2598e9).epsilon(0.005));
  CHECK(hbm_bytes(Quantize{8192, 7168, true}) == Approx(93.4e-6 * 2553e9).epsilon(0.005));
  CHECK(hbm_bytes(SwiGlu{32768, 2048, false, true}) == Approx(120.5e-6 * 2802e9).epsilon(0.005));
  CHECK(hbm_bytes(RmsNorm{8192, 7168}) == Approx(83.1e-6 * 2826e9).epsilon(0.005));
  CHECK(hbm_bytes(RmsNorm{8192, 7168, true}) == Approx(310e-6 * 1134e9).epsilon(0.005));
  CHECK(hbm_bytes(Unpermute{8192, 65536, 7168}) == Approx(365e-6 * 2893e9).epsilon(0.005));
  CHECK(hbm_bytes(Gate{8192, 256, 8, 8}) == Approx(25.9e-6 * 344e9).epsilon(0.005));
  CHECK(hbm_bytes(AdamW{268'435'456}) == Approx(1958e-6 * 3015e9).epsilon(0.005));
}

TEST_CASE("a wgrad reads and writes its FP32 sum", "[model][shapes]") {
  const double dw = 7168.0 * 2048 * 8, inputs = (7168.0 + 2048) * 4096 * 2;
  CHECK(hbm_bytes(Wgrad{7168, 2048, 4096}) == dw + inputs);
}

TEST_CASE("requantising a cached copy moves one byte each way", "[model][shapes]") {
  const Quantize q{1024, 4096, false, Dtype::fp8_block};
  CHECK(hbm_bytes(q) == Approx(1024.0 * 4096 * 2 * (1 + 4.0 / 128)));
}

TEST_CASE("a token's experts are on fewer ranks than it has experts", "[model][shapes]") {
  CHECK(expected_ranks(256, 8, 256) == Approx(8));                  // an expert a rank
  CHECK(expected_ranks(256, 8, 1) == Approx(1));                    // all on one
  CHECK(expected_ranks(256, 8, 8) == Approx(5.31).epsilon(0.005));  // DeepEP README, EP8: distinct GPUs of a token
  CHECK(expected_ranks(8, 2, 4) == Approx(4 * (1 - (6.0 * 5) / (8 * 7))));
}
