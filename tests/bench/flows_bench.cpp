// An all-to-all of 1024 GPUs, 1,047,552 messages, over rails: even, unequal, and over hashed uplinks.
#include <benchmark/benchmark.h>

#include "model/flows.hpp"

using namespace railcast;

namespace {

FabricSpec rails() {
  FabricSpec f;
  f.nodes = 128;
  f.nvlink = ByteRate(450e9), f.nic = ByteRate(50e9);
  f.nvlink_latency = Time::seconds(3.33e-6), f.nic_latency = Time::seconds(3.7e-6);
  return f;
}

void deliver_all(benchmark::State& state, const FabricSpec& spec, double sigma) {
  const Fabric fabric(spec);
  for (auto _ : state) {
    const auto messages = skewed_all_to_all(fabric.gpus(), 65536, sigma, 1);
    benchmark::DoNotOptimize(deliver(fabric, messages).makespan);
  }
  state.SetItemsProcessed(state.iterations() * fabric.gpus() * (fabric.gpus() - 1));  // items: messages
}

void all_to_all_1024(benchmark::State& state) { deliver_all(state, rails(), 0); }
void unequal_1024(benchmark::State& state) { deliver_all(state, rails(), 1); }
void hashed_1024(benchmark::State& state) {
  FabricSpec f = rails();
  f.topology.oversubscription = 2, f.topology.spreading = Spreading::ecmp;
  deliver_all(state, f, 1);
}

}  // namespace

BENCHMARK(all_to_all_1024)->Unit(benchmark::kMillisecond);
BENCHMARK(unequal_1024)->Unit(benchmark::kMillisecond);
BENCHMARK(hashed_1024)->Unit(benchmark::kMillisecond);
