// Ops per second of the engine on chains (streams) of ops that do not wait for each other.
#include <benchmark/benchmark.h>

#include "sim/graph.hpp"

using namespace railcast;

namespace {

/// `chains` streams of `length` ops; every op draws `draw` of its stream's own resource and of one that all share.
Graph streams(std::uint32_t chains, std::uint32_t length, float draw) {
  GraphBuilder b;
  b.reserve(std::size_t(chains) * length, std::size_t(chains) * length);
  const ResourceId shared = b.resource();
  for (std::uint32_t c = 0; c < chains; ++c) {
    const std::array list{Use{b.resource(), 0}, Use{shared, 1}};
    const UsesId uses = b.uses(list);
    const CostId cost = b.cost({Time::ps(1000), Time::ps(1'000'000 + 7919 * c), {1, draw}, 1});
    for (std::uint32_t i = 0; i < length; ++i) {
      const OpId op = b.op(cost, uses);
      if (i > 0) b.link(op - 1, op);
    }
  }
  return std::move(b).build();
}

void run(benchmark::State& state, float draw) {
  const auto chains = static_cast<std::uint32_t>(state.range(0)), length = static_cast<std::uint32_t>(state.range(1));
  const Graph graph = streams(chains, length, draw);
  for (auto _ : state) benchmark::DoNotOptimize(simulate(graph).makespan);
  state.SetItemsProcessed(state.iterations() * chains * length);  // items: ops
}

void chain_alone(benchmark::State& state) { run(state, 0); }
void chains_that_contend(benchmark::State& state) { run(state, 0.25F); }

}  // namespace

BENCHMARK(chain_alone)->Args({1, 10'000'000})->Args({64, 156'250})->Unit(benchmark::kMillisecond);
BENCHMARK(chains_that_contend)->Args({8, 100'000})->Unit(benchmark::kMillisecond);
