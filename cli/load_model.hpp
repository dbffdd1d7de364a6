// Strict reader of a Hugging Face config.json. Every key is read, known to be harmless, or refused by name.
#pragma once
#include <string>

#include "model/transformer.hpp"

namespace railcast {

/// deepseek_v3, kimi_k2, qwen3_moe, mixtral, minimax_m2, glm4_moe and llama. Where there is a text_config, it is the
/// model; other towers are not forecast. Throws BadInput with the JSON pointer: what changes a layer's cost and is not
/// modelled (sliding windows in use, sparse, chunked, linear or hybrid attention) is refused by its key.
Transformer load_model(const std::string& path);

}  // namespace railcast
