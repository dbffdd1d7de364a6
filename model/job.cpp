#include "model/job.hpp"

#include <algorithm>
#include <numeric>

#include "model/collective.hpp"

namespace railcast {
namespace {

bool is_collective(Pattern p) {
  return p == Pattern::all_gather || p == Pattern::reduce_scatter || p == Pattern::all_reduce;
}

std::vector<Message> ring_of(const Job& j) {
  std::vector<std::int64_t> ranks(static_cast<std::size_t>(j.gpus));
  std::iota(ranks.begin(), ranks.end(), j.first_gpu);
  return ring(ranks, j.bytes);
}

std::vector<Message> pattern_of(const Job& j, const GpuRun& run) {
  std::vector<Message> all;
  switch (j.pattern) {
    case Pattern::all_to_all:
      all = skewed_all_to_all(j.gpus, j.bytes, j.sigma, static_cast<std::uint64_t>(j.seed));
      for (Message& m : all) m.from += std::uint32_t(j.first_gpu), m.to += std::uint32_t(j.first_gpu);
      return all;
    case Pattern::all_to_all_v:
      all = all_to_all_v(run, j.counts);
      for (Message& m : all) m.bytes *= j.bytes;
      return all;
    case Pattern::send_recv:
      for (const auto& [from, to] : j.pairs)
        all.push_back({std::uint32_t(j.first_gpu + from), std::uint32_t(j.first_gpu + to), j.bytes});
      return all;
    case Pattern::ring:
      return ring_of(j);
    case Pattern::all_reduce:
      return j.algorithm == Algorithm::tree ? tree_flows(run, j.bytes) : ring_flows(run, j.bytes, 2);
    case Pattern::all_gather:
    case Pattern::reduce_scatter:
      return ring_flows(run, j.bytes, 1);
  }
  return all;
}

std::optional<Shape> shape_of(const Job& j, const Machine& m) {
  const std::int64_t near = std::min(j.gpus, m.gpus_per_node);
  const auto bytes = static_cast<std::int64_t>(j.bytes);
  if (j.pattern == Pattern::all_to_all && j.sigma == 0) return AllToAll{bytes * j.gpus, j.gpus, near};
  if (j.pattern == Pattern::all_gather) return AllGather{bytes, j.gpus, near};
  if (j.pattern == Pattern::reduce_scatter) return ReduceScatter{bytes, j.gpus, near};
  if (j.pattern == Pattern::all_reduce) return AllReduce{bytes, j.gpus, near};
  return std::nullopt;
}

}  // namespace

Machine as_seen(const Machine& m, Library library) {
  if (library == Library::nccl) return m;
  Machine bare = m;
  bare.nvlink_effective = m.nvlink, bare.nic_effective = m.nic;
  bare.kernel_launch = Time(), bare.nccl = {};
  return bare;
}

std::optional<Cost> as_one_op(const Job& j, const Machine& m) {
  const auto shape = shape_of(j, m);
  if (!shape) return std::nullopt;
  return collective_cost(m, *shape, m.sms);
}

std::vector<Message> messages_of(const Job& j, const Machine& m) {
  auto all = pattern_of(j, {j.first_gpu, j.gpus, m.gpus_per_node});
  if (j.library == Library::bare) return all;
  const auto shape = shape_of(j, m);
  const double near = m.nvlink / (shape ? nvlink_path(m, *shape).rate : m.nvlink_effective);
  const double far = m.nic / m.nic_effective;
  for (Message& x : all) x.bytes *= x.from / m.gpus_per_node == x.to / m.gpus_per_node ? near : far;
  return all;
}

Time end_of(const Job& j, const Machine& m, const Fabric& f, const Exchange& e, const std::vector<Message>& all,
            std::size_t first, std::size_t last) {
  const auto op = as_one_op(j, m);
  const bool waits_once = op && (is_collective(j.pattern) || j.library == Library::nccl);
  Time end;
  for (std::size_t i = first; i < last; ++i)
    end = std::max(end, waits_once ? e.end[i] - f.latency(all[i].from, all[i].to) : e.end[i]);
  return waits_once && end > Time() ? end + op->latency : end;
}

}  // namespace railcast
