// Assumed, not published: FP8 weights are kept in both orientations (Hopper's FP8 WGMMA wants K-major operands, and the
// backward multiplies by the transpose; Transformer Engine keeps both too); no fragmentation of the allocator.
#include "model/memory.hpp"

#include <algorithm>
#include <cmath>

#include "model/layer.hpp"
#include "model/weights.hpp"

namespace railcast {
namespace {

double real(std::int64_t n) { return static_cast<double>(n); }

/// Bytes of a weight as it is multiplied. FP8: two orientations, each with an FP32 scale per 128 x 128 block.
double compute_bytes(Dtype d) {
  const bool fp8 = d == Dtype::fp8_block || d == Dtype::fp8_tensor;
  return fp8 ? 2 * (1 + 4.0 / (128 * 128)) : 2;
}

/// Weights, gradients (FP32) and optimizer (FP32 master, two BF16 moments). ZeRO 2 and 3 also hold one layer whole: its
/// gradient before the reduce-scatter (2), its weights and the next layer's gathered ahead (3).
MemoryUse resident(const Scenario& s, const std::vector<StageLayers>& held) {
  const Weights e = weights_of(s, held);
  Weights layer;
  for (const auto& stage : held)
    if (const auto l = layer_weights(s, stage.first); stage.count > 0 && l.total() > layer.total()) layer = l;
  const Sharing shared = sharing(s);
  const double bytes = compute_bytes(s.plan.precision);
  const auto weights = [&](const Weights& x) { return (x.dense + x.experts) * bytes + x.exact * 2; };
  const Weights shard{e.dense / shared.dense, e.exact / shared.dense, e.experts / shared.experts};
  MemoryUse use;
  use.weights = s.plan.zero >= 3 ? weights(shard) + 2 * weights(layer) : weights(e);
  use.gradients = 4 * (s.plan.zero >= 2 ? shard.total() + layer.total() : e.total());
  use.optimizer = 8 * (s.plan.zero >= 1 ? shard.total() : e.total());
  return use;
}

/// DeepEP's buffers (csrc/config.hpp, get_nvl_buffer_size_hint and get_rdma_buffer_size_hint): channels (a pair of SMs)
/// x peers x receive-queue tokens x bytes of a token (BF16, and 2 KiB for top-k ids, weights and scales). Queues of 288
/// (NVLink) and 128 (RDMA, twice: send and receive) tokens, as its configuration for 64 ranks.
double expert_buffers(const Scenario& s) {
  if (s.model.n_routed_experts == 0 || s.plan.ep == 1) return 0;
  const std::int64_t per_node = std::min(s.plan.ep, s.machine.gpus_per_node);
  const double channels = real(s.plan.comm_sms) / 2, row = 2 * real(s.model.hidden_size) + 2048;
  const double nodes = std::ceil(real(s.plan.ep) / real(per_node));
  return channels * row * (288 * real(per_node) + (nodes > 1 ? 2 * 128 * nodes : 0));
}

/// Buffers of the exchange of experts, of NCCL, and of the pipeline: one activation and one gradient on their way per
/// chunk. NCCL: 4 MiB (NCCL_BUFFSIZE's default) to send and to receive on 16 channels (assumed) per communicator.
double communication(const Scenario& s, std::size_t chunks) {
  const auto& p = s.plan;
  const int communicators =
      (dp(p, s.gpus()) > 1) + (expert_dp(p, s.gpus()) > 1 && p.ep > 1) + (p.pp > 1) + (p.tp > 1) + (p.cp > 1);
  const double pipeline = p.pp > 1 ? 2 * real(std::int64_t(chunks)) * boundary_bytes(s.model, p, s.train.sequence) : 0;
  return expert_buffers(s) + pipeline + communicators * 2 * 16.0 * 4 * (1 << 20);
}

/// What one micro-batch holds on a stage, from when to when.
struct StageActivation {
  double until_b = 0;   ///< from F to the end of B
  double until_w = 0;   ///< from F to the end of W
  double made = 0;      ///< from a B without W to its W
  double during_f = 0;  ///< while F runs
  double during_b = 0;  ///< while B runs
  double whole() const { return until_b + until_w; }
};

/// Adds a layer. While it runs it also holds the experts' rows [tokens x top_k, hidden] in BF16 (outputs in F, their
/// gradients in B), and in B its output's gradient, what it recomputes and what its W reads.
void add_layer(const Scenario& s, std::int64_t layer, StageActivation& a) {
  Plan keep_all = s.plan;
  keep_all.recompute.clear();
  const auto kept = layer_activation(s.model, s.plan, layer, s.train.sequence);
  const auto full = layer_activation(s.model, keep_all, layer, s.train.sequence);
  a.until_b += kept.kept_for_b;
  a.until_w += kept.kept_for_w;
  a.made += kept.made_for_w;
  const double hidden = boundary_bytes(s.model, s.plan, s.train.sequence);
  const double rows = s.model.moe(layer) ? hidden * real(s.model.num_experts_per_tok * s.plan.etp) : 0;
  a.during_f = std::max(a.during_f, rows);
  a.during_b = std::max(a.during_b, rows + hidden + full.kept_for_b - kept.kept_for_b + kept.made_for_w);
}

/// Heads (the model's and MTP's) keep their input, and the logits' gradient, which the fused loss writes over the BF16
/// logits in F. An MTP module also keeps the inputs of its two norms.
void add_heads(const Scenario& s, StageActivation& a) {
  const double hidden = boundary_bytes(s.model, s.plan, s.train.sequence);
  const double mtp = real(s.model.num_nextn_predict_layers);
  a.until_w += (1 + mtp) * (logits_bytes(s.model, s.plan, s.train.sequence) + hidden);
  a.until_b += mtp * 2 * hidden;
  for (std::int64_t m = 0; m < s.model.num_nextn_predict_layers; ++m) add_layer(s, s.model.num_hidden_layers, a);
}

StageActivation stage_activation(const Scenario& s, const StageLayers& stage) {
  StageActivation a;
  for (std::int64_t l = stage.first; l < stage.first + stage.count; ++l) add_layer(s, l, a);
  if (stage.head) add_heads(s, a);
  return a;
}

/// Activations of a rank over its instructions.
class Walk {
 public:
  explicit Walk(std::vector<StageActivation> chunks) : chunks_(std::move(chunks)) {}
  /// Takes what the instruction takes; returns what it holds beyond held() while it runs. A B without W gives back
  /// and makes layer by layer, so that it holds most at its beginning or at its end.
  double begin(const Instruction& i) {
    const auto& c = chunk(i.chunk);
    if (i.step == Step::forward || i.step == Step::overlapped) held_ += c.whole();
    switch (i.step) {
      case Step::forward:
        return c.during_f;
      case Step::overlapped:
        return c.during_f + chunk(i.chunk_b).during_b;
      case Step::backward:
        return c.during_b;
      case Step::backward_input:
        return std::max(c.during_b, c.made - c.until_b);
      case Step::weight:
        return 0;
    }
    return 0;
  }
  /// Gives back what its end frees.
  void end(const Instruction& i) {
    const auto& c = chunk(i.chunk);
    if (i.step == Step::backward) held_ -= c.whole();
    if (i.step == Step::overlapped) held_ -= chunk(i.chunk_b).whole();
    if (i.step == Step::backward_input) held_ += c.made - c.until_b;
    if (i.step == Step::weight) held_ -= c.until_w + c.made;
  }
  double held() const { return held_; }

 private:
  const StageActivation& chunk(std::int32_t c) const { return chunks_.at(static_cast<std::size_t>(c)); }
  std::vector<StageActivation> chunks_;
  double held_ = 0;
};

/// CUDA context, kernels of several libraries and GEMM workspaces: assumed, as nvidia-smi shows 0.5 to 1 GB for a
/// process on an H100 before its first tensor.
constexpr double kContextBytes = 1e9;

RankMemory one_rank(const Scenario& s, const std::vector<Instruction>& list, const std::vector<StageLayers>& held,
                    const std::vector<StageActivation>& activations) {
  RankMemory m;
  m.peak = resident(s, held);
  m.peak.communication = communication(s, held.size());
  m.peak.workspace = kContextBytes;
  Walk walk(activations);
  double most = -1;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const double running = walk.begin(list[i]);
    if (walk.held() + running > most) {
      most = walk.held() + running;
      m.peak.activations = walk.held();
      m.peak.workspace = kContextBytes + running;
      m.at = i;
    }
    walk.end(list[i]);
  }
  return m;
}

}  // namespace

std::vector<RankMemory> rank_memory(const Scenario& s, const Program& program, const std::vector<StageLayers>& stages) {
  std::vector<StageActivation> activations;
  for (const auto& stage : stages) activations.push_back(stage_activation(s, stage));
  const auto in_flight = peak_in_flight(program);
  std::vector<RankMemory> ranks;
  for (std::size_t r = 0; r < program.size(); ++r) {
    const auto ids = stages_of(s.plan, static_cast<std::int64_t>(r));
    std::vector<StageLayers> held;
    std::vector<StageActivation> chunks;
    for (const auto id : ids) {
      held.push_back(stages.at(static_cast<std::size_t>(id)));
      chunks.push_back(activations.at(static_cast<std::size_t>(id)));
    }
    auto m = one_rank(s, program[r], held, chunks);
    m.pp_rank = static_cast<std::int64_t>(r);
    m.stages = ids;
    m.in_flight = in_flight[r];
    ranks.push_back(std::move(m));
  }
  return ranks;
}

}  // namespace railcast
