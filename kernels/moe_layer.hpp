// A DeepSeek-V3 MoE layer's routed experts, forward and backward, from this folder's kernels, with all ranks of an
// expert-parallel group on one GPU. The router's logits are given; the shared expert is left out.
#pragma once
#include <vector>

#include "kernels/combine.hpp"
#include "kernels/device_array.hpp"
#include "kernels/dispatch.hpp"
#include "kernels/exchange_memory.hpp"
#include "kernels/gate.hpp"

namespace railcast::kernels {

struct MoeShape {
  int ranks = 8;
  std::int64_t tokens = 0;             ///< of each rank
  std::int64_t hidden = 0, inner = 0;  ///< multiples of 128
  Gating gating;
  std::int64_t rows = 0;  ///< room for choices at each rank, padded; a multiple of 128
  int sms = 0;            ///< of dispatch and combine; 0: all that they can use here (132)
  std::int64_t experts_each() const { return gating.experts / ranks; }
};

/// Two projections of all experts, quantised, and transposed for dgrad.
struct MoeWeights {
  DeviceArray<E4m3> w1, w1_t, w2, w2_t;   ///< [experts] of [2 inner, hidden], [hidden, inner]
  DeviceArray<float> s1, s1_t, s2, s2_t;  ///< their 128x128 blocks' scales
  DeviceArray<float> d_w1, d_w2;          ///< gradients are added here
  void set(const MoeShape& shape, std::int64_t expert, const Bf16* w1_bf16, const Bf16* w2_bf16);
};

class MoeLayer {
 public:
  explicit MoeLayer(const MoeShape& shape);
  /// x, logits and the weights to out; then d_out to d_x, d_logits and the weights' gradients. Both may be captured.
  void forward(cudaStream_t stream);
  void backward(cudaStream_t stream);
  /// Throws KernelError if a rank was late, or if a rank had more choices than rows.
  void check() const;

  MoeShape shape;
  MoeWeights weights;
  // All ranks', one after another.
  DeviceArray<Bf16> x, out, d_out, d_x;  ///< [ranks * tokens, hidden]
  DeviceArray<float> logits, d_logits;   ///< [ranks * tokens, experts]
  DeviceArray<int> chosen;               ///< [ranks * tokens, top_k]
  DeviceArray<float> choice_weights, d_choice_weights;

 private:
  /// What a rank keeps from its forward to its backward.
  struct Kept {
    DeviceArray<E4m3> a, gate_up;
    DeviceArray<float> a_scales, gate_up_scales;
    DeviceArray<Bf16> y;
    DeviceArray<int> row_of, choice_of, block_group, offsets;
  };
  /// What only one rank at a time needs.
  struct Scratch {
    DeviceArray<Bf16> gate_up, d_y, d_h, d_rows;
    DeviceArray<E4m3> h, h_t, d_y_q, d_y_t, d_gate_up, d_gate_up_t, a_t;
    DeviceArray<float> h_scales, h_t_scales, d_y_scales, d_y_t_scales, d_gate_up_scales, d_gate_up_t_scales, a_t_scales;
    DeviceArray<int> map;
  };
  void rows_by_expert(int rank, cudaStream_t stream);  ///< what came, permuted
  void forward_of(int rank, cudaStream_t stream);
  void backward_of(int rank, cudaStream_t stream);
  void expert_gradients(int rank, cudaStream_t stream);
  void project(int rank, const E4m3* a, const float* scales, const E4m3* b, const float* b_scales, std::int64_t n,
               std::int64_t k, Bf16* d, cudaStream_t stream);
  std::int64_t received() const { return shape.ranks * shape.tokens; }

  ExchangeShape there_shape_, back_shape_;  ///< FP8 forward; BF16 gradients backward
  VirtualRanks there_, back_;
  DispatchArgs dispatch_, dispatch_back_;
  CombineArgs combine_, combine_back_;
  DeviceArray<E4m3> x_q_;
  DeviceArray<float> x_scales_;
  DeviceArray<int> places_, places_back_, received_;
  std::vector<Kept> kept_;
  Scratch s_;
};

}  // namespace railcast::kernels
