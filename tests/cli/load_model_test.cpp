#include "cli/load_model.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/scenario.hpp"
#include "tests/catch.hpp"

using namespace railcast;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {
const std::string kRoot = RAILCAST_SOURCE_DIR;

/// A file that is gone when the test ends.
class Config {
 public:
  explicit Config(const std::string& text)
      : path_((std::filesystem::temp_directory_path() / ("railcast_config_" + std::to_string(::getpid()) + ".json"))
                  .string()) {
    std::ofstream(path_) << text;
  }
  ~Config() { std::filesystem::remove(path_); }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

json preset(const std::string& name) {
  std::ifstream in(kRoot + "/scenarios/models/" + name + ".json");
  return json::parse(in);
}

Transformer load(const json& config) { return load_model(Config(config.dump()).path()); }

json changed(const std::string& name, const json& patch) {
  json config = preset(name);
  config.merge_patch(patch);
  return config;
}
}  // namespace

TEST_CASE("real config.json files are read as they are", "[cli][load_model]") {
  const auto [file, layers, experts] =
      GENERATE(table<std::string, std::int64_t, std::int64_t>({{"deepseek-ai--DeepSeek-V3_config.json", 61, 256},
                                                               {"moonshotai--Kimi-K2-Instruct_config.json", 61, 384},
                                                               {"Qwen--Qwen3-235B-A22B_config.json", 94, 128},
                                                               {"mistralai--Mixtral-8x7B-v0.1_config.json", 32, 8},
                                                               {"MiniMaxAI--MiniMax-M2.5_config.json", 62, 256}}));
  const Transformer t = load_model(kRoot + "/tests/data/models/" + file);
  CHECK(t.num_hidden_layers == layers);
  CHECK(t.n_routed_experts == experts);
}

TEST_CASE("models whose attention is not modelled are refused by the key", "[cli][load_model]") {
  const auto [file, key] = GENERATE(table<std::string, std::string>(
      {{"openai--gpt-oss-120b_config.json", "#/sliding_window"},
       {"zai-org--GLM-5_config.json", "#/index_topk"},
       {"deepseek-ai--DeepSeek-V3.2_config.json", "#/index_topk"},
       {"deepseek-ai--DeepSeek-V4-Flash_config.json", "#/index_topk"},
       {"moonshotai--Kimi-K3_config.json", "#/text_config/linear_attn_config"},
       {"meta-llama--Llama-4-Maverick-17B-128E-Instruct_config.json", "#/text_config/attention_chunk_size"}}));
  CHECK_THROWS_AS(load_model(kRoot + "/tests/data/models/" + file), BadInput);
  CHECK_THROWS_WITH(load_model(kRoot + "/tests/data/models/" + file), ContainsSubstring(file + key + ":"));
}

TEST_CASE("each family's own words are understood", "[cli][load_model]") {
  const Transformer v3 = load(preset("deepseek-v3"));
  CHECK((v3.mla() && v3.n_group == 8 && v3.topk_group == 4 && v3.routing_bias));
  CHECK(v3.shared_intermediate_size == 2048);
  CHECK(v3.num_nextn_predict_layers == 1);
  const Transformer mixtral = load(preset("mixtral-8x7b"));
  CHECK((!mixtral.mla() && mixtral.moe_intermediate_size == 14336 && mixtral.head_dim == 128));
  CHECK((!mixtral.qk_norm && mixtral.scoring_func == "softmax"));
  const Transformer qwen = load(preset("qwen3-235b"));
  CHECK((qwen.qk_norm && !qwen.qk_norm_full && qwen.moe_intermediate_size == 1536));
  const Transformer minimax = load(preset("minimax-m2.5"));
  CHECK((minimax.qk_norm && minimax.qk_norm_full && minimax.num_nextn_predict_layers == 3));
  CHECK(minimax.qk_rope_head_dim == 64);
  const Transformer glm = load(preset("glm-4.5"));
  CHECK((glm.attention_bias && glm.qk_norm && glm.first_k_dense_replace == 3 && glm.qk_rope_head_dim == 64));
  CHECK(load(preset("llama-3.1-405b")).n_routed_experts == 0);
}

TEST_CASE("a nested text_config is the model", "[cli][load_model]") {
  const json nested{{"model_type", "some_vision_model"}, {"text_config", preset("qwen3-235b")}};
  CHECK(load(nested).num_hidden_layers == 94);
  json wrong = nested;
  wrong["text_config"]["hidden_size"] = -1;
  CHECK_THROWS_WITH(load(wrong), ContainsSubstring("#/text_config/hidden_size:"));
}

TEST_CASE("a sparse step makes the layers between dense", "[cli][load_model]") {
  const Transformer t = load(changed("qwen3-235b", {{"decoder_sparse_step", 2}}));
  CHECK_FALSE(t.moe(0));
  CHECK(t.moe(1));
}

TEST_CASE("a sliding window that is switched off is harmless", "[cli][load_model]") {
  CHECK_NOTHROW(load(changed("qwen3-235b", {{"sliding_window", 4096}})));  // use_sliding_window is false
  CHECK_THROWS_WITH(load(changed("mixtral-8x7b", {{"sliding_window", 4096}})), ContainsSubstring("#/sliding_window:"));
  CHECK_NOTHROW(load(changed("qwen3-235b", {{"layer_types", {"full_attention", "full_attention"}}})));
  CHECK_THROWS_WITH(load(changed("qwen3-235b", {{"layer_types", {"full_attention", "sliding_attention"}}})),
                    ContainsSubstring("#/layer_types:"));
}

TEST_CASE("a wrong value is refused at its pointer", "[cli][load_model]") {
  const auto [name, patch, pointer] = GENERATE(table<std::string, json, std::string>({
      {"deepseek-v3", {{"hidden_size", "7168"}}, "#/hidden_size: expected a whole number"},
      {"deepseek-v3", {{"hidden_size", -7168}}, "#/hidden_size: expected"},
      {"deepseek-v3", {{"hidden_size", 7168.5}}, "#/hidden_size: expected"},
      {"deepseek-v3", {{"num_hidden_layers", 0}}, "#/num_hidden_layers: expected"},
      {"deepseek-v3", {{"vocab_size", 1e30}}, "#/vocab_size: expected"},
      {"deepseek-v3", {{"vocab_size", std::int64_t{1} << 40}}, "#/vocab_size: expected"},
      {"deepseek-v3", {{"hidden_size", 1 << 28}, {"vocab_size", 1 << 28}}, "below 1e15 parameters"},
      {"deepseek-v3", {{"n_group", 7}}, "#/n_group: expected a divisor"},
      {"deepseek-v3", {{"topk_group", 9}}, "#/topk_group: expected at most"},
      {"deepseek-v3", {{"num_experts_per_tok", 200}}, "#/num_experts_per_tok: expected at most the 128"},
      {"deepseek-v3", {{"moe_layer_freq", 2}}, "#/moe_layer_freq: expected 1"},
      {"deepseek-v3", {{"first_k_dense_replace", 62}}, "#/first_k_dense_replace: expected"},
      {"deepseek-v3", {{"scoring_func", "sqrtsoftplus"}}, "#/scoring_func: "},
      {"deepseek-v3", {{"hidden_act", "gelu"}}, "#/hidden_act: expected silu"},
      {"deepseek-v3", {{"kv_lora_rank", nullptr}}, "kv_lora_rank"},
      {"deepseek-v3", {{"model_type", "deepseek_v4"}}, "#/model_type: "},
      {"qwen3-235b", {{"num_key_value_heads", 5}}, "#/num_key_value_heads: expected a divisor"},
      {"qwen3-235b", {{"use_qk_norm", "yes"}}, "#/use_qk_norm: expected true or false"},
      {"mixtral-8x7b", {{"num_attention_heads", 40}}, "#/num_attention_heads: expected a divisor of hidden_size"},
      {"mixtral-8x7b", {{"num_local_experts", nullptr}}, "expected n_routed_experts, num_experts or num_local_experts"},
      {"llama-3.1-405b", {{"mlp_bias", true}}, "#/mlp_bias: "},
      {"minimax-m2.5", {{"mtp_transformer_layers", 2}}, "#/mtp_transformer_layers: expected 1"},
      {"glm-4.5", {{"partial_rotary_factor", 2}}, "#/partial_rotary_factor: expected"},
  }));
  INFO(name << " " << patch);
  CHECK_THROWS_AS(load(changed(name, patch)), BadInput);
  CHECK_THROWS_WITH(load(changed(name, patch)), ContainsSubstring(pointer));
}

TEST_CASE("a key that nobody knows is refused, with the nearest known one", "[cli][load_model]") {
  CHECK_THROWS_WITH(load(changed("deepseek-v3", {{"n_routed_expert", 256}})),
                    ContainsSubstring("#/n_routed_expert: ") && ContainsSubstring("n_routed_experts"));
  CHECK_THROWS_WITH(load(changed("llama-3.1-405b", {{"retention_gate", true}})),
                    ContainsSubstring("#/retention_gate: "));
}

TEST_CASE("a truncated, empty or missing file is refused", "[cli][load_model]") {
  const std::string text = preset("deepseek-v3").dump();
  CHECK_THROWS_AS(load_model(Config(text.substr(0, text.size() / 2)).path()), BadInput);
  CHECK_THROWS_AS(load_model(Config("").path()), BadInput);
  CHECK_THROWS_AS(load_model(Config("[1, 2]").path()), BadInput);
  CHECK_THROWS_AS(load_model(Config("{\"text_config\": 3}").path()), BadInput);
  CHECK_THROWS_AS(load_model(kRoot + "/scenarios/models/no-such-model.json"), BadInput);
  CHECK_THROWS_AS(load_model(kRoot + "/scenarios/models"), BadInput);
}

TEST_CASE("a file of a gigabyte is refused before it is read", "[cli][load_model]") {
  const Config config("{");
  std::filesystem::resize_file(config.path(), std::uintmax_t{1} << 30);  // sparse: no disk is used
  CHECK_THROWS_AS(load_model(config.path()), BadInput);
}
