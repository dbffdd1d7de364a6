// Whether a plan is possible: every message starts with the plan's key and names values that would do.
#include <algorithm>
#include <array>
#include <string>

#include "model/rank_program.hpp"
#include "model/transformer.hpp"

namespace railcast {
namespace {

std::string text(std::int64_t n) { return std::to_string(n); }

/// The divisors of `of` next to `near`, below and above, as "32 or 64".
std::string divisors_near(std::int64_t of, std::int64_t near) {
  std::int64_t below = std::min(near, of), above = std::max<std::int64_t>(near, 1);
  while (below > 0 && of % below != 0) --below;
  while (above <= of && of % above != 0) ++above;
  if (below <= 0) return text(above);
  return above <= of && above != below ? text(below) + " or " + text(above) : text(below);
}

/// `key` must divide a count of `what`.
void require_divides(const char* key, std::int64_t value, std::int64_t count, const std::string& what) {
  require(count % value == 0, std::string("plan.") + key + ": " + text(value) + " does not divide " + what + "; use " +
                                  divisors_near(count, value));
}

void check_positive(const Plan& p) {
  const std::array<std::pair<const char*, std::int64_t>, 7> counts{{{"pp", p.pp},
                                                                    {"vp", p.vp},
                                                                    {"ep", p.ep},
                                                                    {"etp", p.etp},
                                                                    {"tp", p.tp},
                                                                    {"cp", p.cp},
                                                                    {"micro_batch", p.micro_batch}}};
  for (const auto& [key, value] : counts)
    require(value >= 1, std::string("plan.") + key + ": " + text(value) + " is not a positive count");
  require(p.dp >= 0, "plan.dp: " + text(p.dp) + " is not a count; leave it out for all GPUs left");
  require(p.zero >= 0 && p.zero <= 3, "plan.zero: " + text(p.zero) + " is not one of 0, 1, 2, 3");
  require(p.comm_sms >= 0, "plan.comm_sms: " + text(p.comm_sms) + " is negative");
  require(
      p.vp == 1 || p.schedule == Schedule::interleaved,
      std::string("plan.vp: ") + name(p.schedule) + " takes no virtual stages; set vp to 1 or schedule to interleaved");
}

/// The GPUs of the scenario are all used, each once.
void check_world(const Plan& p, std::int64_t gpus) {
  const std::int64_t pipeline = p.tp * p.cp * p.pp, asked = pipeline * std::max<std::int64_t>(p.dp, 1);
  const std::string shape = "tp " + text(p.tp) + " x cp " + text(p.cp) + " x pp " + text(p.pp);
  require(asked <= gpus, std::string(p.dp > 0 ? "plan.dp: " : "plan.pp: ") + shape +
                             (p.dp > 0 ? " x dp " + text(p.dp) : "") + " asks for " + text(asked) +
                             " GPUs, there are " + text(gpus) + "; use more nodes or a smaller plan");
  require(gpus % pipeline == 0, "plan.pp: " + shape + " = " + text(pipeline) + " does not divide the " + text(gpus) +
                                    " GPUs; use nodes that make a multiple of " + text(pipeline) + " GPUs");
  require(asked == gpus || p.dp == 0, "plan.dp: " + shape + " x dp " + text(p.dp) + " uses " + text(asked) + " of " +
                                          text(gpus) + " GPUs; use dp " + text(gpus / pipeline) + " or fewer nodes");
}

void check_experts(const Plan& p, const Transformer& t, std::int64_t gpus) {
  if (t.n_routed_experts == 0) {
    require(p.ep == 1, "plan.ep: " + t.model_type + " has no experts; set ep to 1");
    require(p.etp == 1, "plan.etp: " + t.model_type + " has no experts; set etp to 1");
    return;
  }
  const std::int64_t stage = p.tp * p.cp * dp(p, gpus);
  require_divides("ep", p.ep, t.n_routed_experts, text(t.n_routed_experts) + " experts");
  require_divides("etp", p.etp, t.moe_intermediate_size, "an expert's width of " + text(t.moe_intermediate_size));
  require(stage % (p.ep * p.etp) == 0, "plan.ep: ep " + text(p.ep) + " x etp " + text(p.etp) + " does not divide the " +
                                           text(stage) + " GPUs of a stage (tp x cp x dp); use " +
                                           divisors_near(stage, p.ep));
}

void check_attention(const Plan& p, const Transformer& t) {
  require_divides("tp", p.tp, t.num_attention_heads, text(t.num_attention_heads) + " attention heads");
  const std::int64_t kv = t.num_key_value_heads;
  require(t.mla() || kv % p.tp == 0 || p.tp % kv == 0, "plan.tp: " + text(p.tp) +
                                                           " neither divides nor is a multiple of " + text(kv) +
                                                           " key-value heads; use " + divisors_near(kv, p.tp));
  require_divides("tp", p.tp, t.hidden_size, "a hidden size of " + text(t.hidden_size));
  require(p.cp == 1 || p.context_parallel == ContextParallel::ring || t.num_attention_heads % (p.tp * p.cp) == 0,
          "plan.cp: all-to-all attention needs tp x cp to divide " + text(t.num_attention_heads) +
              " attention heads; use context_parallel ring");
}

void check_recompute(const Plan& p, const Transformer& t) {
  static constexpr std::array<const char*, 5> kKnown{"rmsnorm", "mla_up", "swiglu", "attention", "layer"};
  for (const auto& r : p.recompute) {
    require(std::ranges::count(kKnown, r) == 1,
            "plan.recompute: unknown entry \"" + r + "\"; use rmsnorm, mla_up, swiglu, attention or layer");
    require(r != "mla_up" || t.mla(),
            "plan.recompute: mla_up needs latent attention, which " + t.model_type + " does not have; remove it");
  }
}

void check_micro_batches(const Plan& p, std::int64_t gpus, std::int64_t global_batch) {
  const std::int64_t per_micro_batch = dp(p, gpus) * p.micro_batch;
  require(global_batch >= 1, "workload.train.global_batch: " + text(global_batch) + " is not a positive count");
  require(global_batch % per_micro_batch == 0, "plan.micro_batch: dp " + text(dp(p, gpus)) + " x micro_batch " +
                                                   text(p.micro_batch) + " does not divide a global batch of " +
                                                   text(global_batch) + "; use a global batch of " +
                                                   text((global_batch / per_micro_batch + 1) * per_micro_batch));
}

}  // namespace

void check_plan(const Plan& p, const Transformer& t, std::int64_t gpus, std::int64_t global_batch) {
  check_positive(p);
  check_world(p, gpus);
  check_attention(p, t);
  check_experts(p, t, gpus);
  check_recompute(p, t);
  check_micro_batches(p, gpus, global_batch);
  make_program(p, micro_batches(p, gpus, global_batch));  // what the schedule needs
}

}  // namespace railcast
