// Oracles: published parameter counts, KV bytes and FLOPs per token.
#include "model/transformer.hpp"

#include "tests/catch.hpp"
#include "tests/presets.hpp"

using namespace railcast;
using tests::preset;

namespace {
double billions(std::int64_t n) { return static_cast<double>(n) * 1e-9; }
}  // namespace

TEST_CASE("parameter counts are the checkpoints' within half a percent", "[model][transformer]") {
  // DeepSeek-V3, Kimi-K2, Qwen3, Mixtral: sums over the checkpoints' tensors. Llama 3.1: 405.85e9 (model card, "405B").
  // GLM-4.5: 355B and DeepSeek LLM: 67B (model cards) are round, so wider.
  const auto [name, total, within] = GENERATE(table<std::string, double, double>({{"deepseek-v3", 671.03, 0.005},
                                                                                  {"kimi-k2", 1026.4, 0.005},
                                                                                  {"qwen3-235b", 235.09, 0.005},
                                                                                  {"mixtral-8x7b", 46.70, 0.005},
                                                                                  {"llama-3.1-405b", 405.85, 0.005},
                                                                                  {"minimax-m2.5", 230, 0.01},
                                                                                  {"glm-4.5", 355, 0.01},
                                                                                  {"deepseek-llm-67b", 67, 0.01}}));
  INFO(name);
  CHECK(billions(parameters(preset(name)).total) == Approx(total).epsilon(within));
}

TEST_CASE("active parameters are those of the model cards", "[model][transformer]") {
  // 37B (V3 report; 36.7B in its weights' readme), 32B (Kimi-K2), 22B (Qwen3), 12.9B (Mixtral), 32B (GLM-4.5): round
  // figures.
  const auto [name, active] = GENERATE(table<std::string, double>(
      {{"deepseek-v3", 37}, {"kimi-k2", 32}, {"qwen3-235b", 22}, {"mixtral-8x7b", 12.9}, {"glm-4.5", 32}}));
  INFO(name);
  CHECK(billions(parameters(preset(name)).active) == Approx(active).epsilon(0.03));
}

TEST_CASE("V3's MTP module has 11.5 billion parameters of its own", "[model][transformer]") {
  CHECK(billions(parameters(preset("deepseek-v3")).mtp) == Approx(11.5).epsilon(0.01));  // deepseek-ai/DeepSeek-V3
  CHECK(parameters(preset("kimi-k2")).mtp == 0);
}

TEST_CASE("KV cache per token is the published one", "[model][transformer]") {
  CHECK(kv_bytes_per_token(preset("deepseek-v3")) == 70272);  // arXiv 2505.09343, table 1
  CHECK(kv_bytes_per_token(preset("llama-3.1-405b")) == 516096);
}

TEST_CASE("training FLOPs per token are the published ones within two percent", "[model][transformer]") {
  // arXiv 2505.09343, table 2: sequence 4096; forward and backward, causal.
  CHECK(flops_per_token(preset("deepseek-v3"), 4096, true) == Approx(250e9).epsilon(0.02));
  CHECK(flops_per_token(preset("llama-3.1-405b"), 4096, true) == Approx(2448e9).epsilon(0.02));
  // 432 / 385 TFLOPS non-causal over causal, same paper, table 4
  const Transformer v3 = preset("deepseek-v3");
  CHECK(flops_per_token(v3, 4096, false) / flops_per_token(v3, 4096, true) == Approx(432.0 / 385).epsilon(0.005));
}

TEST_CASE("the layers of a model are dense where its config says so", "[model][transformer]") {
  const Transformer v3 = preset("deepseek-v3");
  CHECK_FALSE(v3.moe(2));
  CHECK(v3.moe(3));
  CHECK(v3.moe(61));  // MTP's, as the last layer
  CHECK_FALSE(preset("llama-3.1-405b").moe(0));
  Transformer sparse = preset("qwen3-235b");
  sparse.mlp_only_layers = {5};
  CHECK_FALSE(sparse.moe(5));
  CHECK(layer_parameters(sparse, 5).mlp_dense == 3 * 4096 * 12288);
}

TEST_CASE("a tied head is counted once but multiplied with", "[model][transformer]") {
  Transformer t = preset("mixtral-8x7b");
  const auto untied = parameters(t);
  t.tie_word_embeddings = true;
  CHECK(untied.total - parameters(t).total == t.vocab_size * t.hidden_size);
  CHECK(parameters(t).active == untied.active);
}
