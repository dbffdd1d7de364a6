// A MoE layer's routed experts as kernels/moe_layer.cpp runs them: our kernels one after another on one stream, several
// ranks of an expert-parallel group on each GPU. The router's logits are given; the shared expert is left out.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "model/cost.hpp"
#include "model/own_exchange.hpp"

namespace railcast {

struct MoeLayer {
  std::int64_t ranks = 0, gpus = 0, sms = 0;  ///< sms: of dispatch and combine, which run alone
  std::int64_t tokens = 0;                    ///< of each rank
  std::int64_t hidden = 0, inner = 0, experts = 0, top_k = 0, groups = 1, top_groups = 1;
  std::int64_t rows = 0;  ///< room for choices at each rank; what is quantised is all of it
};

/// What only moves memory and has no Shape: bytes read and written.
struct Moved {
  double bytes = 0;
};

struct MoeOp {
  std::string what;
  std::variant<Shape, OwnExchange, Moved> op;
  std::int64_t times = 1;  ///< once for each rank of a GPU, or for all
};
std::vector<MoeOp> moe_forward(const MoeLayer& l);
std::vector<MoeOp> moe_backward(const MoeLayer& l);

/// One of its times, on all SMs; an exchange on MoeLayer::sms.
Cost moe_cost(const Machine& m, const CostModel& costs, const MoeOp& op);

}  // namespace railcast
