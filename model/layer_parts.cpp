#include "model/layer_parts.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace railcast {

std::int64_t share(std::int64_t n, std::int64_t parts, const char* what) {
  if (parts < 1 || n % parts != 0)
    throw std::invalid_argument(std::string(what) + ": " + std::to_string(n) + " does not divide by " +
                                std::to_string(parts));
  return n / parts;
}

Local::Local(const Transformer& model, const Plan& plan, std::int64_t sequence_length, std::int64_t node)
    : t(model),
      p(plan),
      sequence(sequence_length),
      gpus_per_node(node),
      tokens(plan.micro_batch * share(sequence_length, plan.cp, "sequence over cp")),
      sharded(share(tokens, plan.tp, "tokens of a micro-batch over tp")),
      fp8(plan.precision == Dtype::fp8_block || plan.precision == Dtype::fp8_tensor) {}

void Local::all_gather(Works& w, const char* what, std::int64_t cols) const {
  if (p.tp > 1) w.push_back({what, AllGather{2 * tokens * cols, p.tp, std::min(p.tp, gpus_per_node)}});
}

void Local::reduce_scatter(Works& w, const char* what, std::int64_t cols) const {
  if (p.tp > 1) w.push_back({what, ReduceScatter{2 * tokens * cols, p.tp, std::min(p.tp, gpus_per_node)}});
}

void Local::quantize(Works& w, std::string what, std::int64_t rows, std::int64_t cols, bool transpose,
                     Dtype from) const {
  if (fp8) w.push_back({std::move(what), Quantize{rows, cols, transpose, from}});
}

namespace {
void gemm(Works& w, std::string what, const Linear& l, std::int64_t n, std::int64_t k) {
  if (l.groups > 0)
    w.push_back({std::move(what), GroupedGemm{l.groups, l.rows, n, k, l.dtype}});
  else
    w.push_back({std::move(what), Gemm{l.rows, n, k, l.dtype}});
}
}  // namespace

void forward(Works& w, const Linear& l) { gemm(w, l.name, l, l.out, l.in); }

void dgrad(Works& w, const Linear& l) { gemm(w, std::string(l.name) + ".dgrad", l, l.in, l.out); }

void wgrad(Works& w, const Linear& l) {
  const std::string what = std::string(l.name) + ".wgrad";
  if (l.groups > 0)
    w.push_back({what, WgradGrouped{l.groups, l.out, l.in, l.rows, l.dtype}});
  else
    w.push_back({what, Wgrad{l.out, l.in, l.rows, l.dtype}});
}

void repeat(Works& w, const Works& ops) {
  for (Work op : ops) {
    op.recomputed = true;
    w.push_back(std::move(op));
  }
}

}  // namespace railcast
