// The two methods by which rows are timed.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <thread>

#include "kernels/bench.hpp"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

constexpr double kRotateBytes = 220e6;  // several times the 50 MB of L2
constexpr std::size_t kFlushBytes = 8ULL << 30;
constexpr int kCoolSamples = 15;
constexpr std::chrono::milliseconds kRest{300};  // before "cool": what ran before leaves the card at its power cap
constexpr double kWarmUpMs = 60, kTimedMs = 90, kGraphMs = 5;

Timing summarise(std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const auto at = [&](double q) { return us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1) + 0.5)]; };
  Timing t;
  t.p10_us = at(0.1), t.p50_us = at(0.5), t.p90_us = at(0.9);
  t.samples = static_cast<int>(us.size());
  return t;
}

/// Events made before they are needed.
class Events {
 public:
  explicit Events(int count) : events_(static_cast<std::size_t>(count)) {
    for (cudaEvent_t& e : events_) throw_unless(cudaEventCreate(&e), "creating an event");
  }
  ~Events() {
    for (cudaEvent_t e : events_) cudaEventDestroy(e);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;
  void record(int i, cudaStream_t stream) {
    throw_unless(cudaEventRecord(events_[static_cast<std::size_t>(i)], stream), "recording an event");
  }
  double us(int from, int to) const {
    float ms = 0;
    throw_unless(cudaEventSynchronize(events_[static_cast<std::size_t>(to)]), "running a kernel");
    throw_unless(
        cudaEventElapsedTime(&ms, events_[static_cast<std::size_t>(from)], events_[static_cast<std::size_t>(to)]),
        "reading an event");
    return ms * 1e3;
  }

 private:
  std::vector<cudaEvent_t> events_;
};

/// `launches` runs over rotating sets, as one CUDA graph.
class Graph {
 public:
  Graph(const Run& run, int sets, int launches, cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    throw_unless(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capturing a graph");
    for (int i = 0; i < launches; ++i) run(i % sets, stream);
    throw_unless(cudaStreamEndCapture(stream, &graph), "capturing a graph");
    throw_unless(cudaGraphInstantiate(&exec_, graph, 0), "instantiating a graph");
    cudaGraphDestroy(graph);
  }
  ~Graph() { cudaGraphExecDestroy(exec_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  void launch(cudaStream_t stream) const { throw_unless(cudaGraphLaunch(exec_, stream), "launching a graph"); }

 private:
  cudaGraphExec_t exec_ = nullptr;
};

double since_ms(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::size_t free_bytes() {
  std::size_t free = 0, total = 0;
  throw_unless(cudaMemGetInfo(&free, &total), "asking for free memory");
  return free;
}

}  // namespace

int rotating_sets(double bytes) {
  return std::clamp(static_cast<int>(std::ceil(kRotateBytes / std::max(1.0, bytes))), 1, 64);
}

Timing Bench::cool(const Run& run) {
  if (flush_ == nullptr) {
    flush_bytes_ = std::min<std::size_t>(kFlushBytes, free_bytes() / 2);
    throw_unless(cudaMalloc(&flush_, flush_bytes_), "allocating the flush buffer");
    if (flush_bytes_ < kFlushBytes)
      std::printf("cool: memory is short, the memset before each launch is %.1f GB instead of 8\n",
                  static_cast<double>(flush_bytes_) / (1 << 30));
  }
  Events events(2 * kCoolSamples + 2);
  std::vector<double> us;
  std::this_thread::sleep_for(kRest);
  nvml_.start();
  for (int i = 0; i <= kCoolSamples; ++i) {
    throw_unless(cudaMemsetAsync(flush_, i, flush_bytes_, stream_), "flushing L2");
    events.record(2 * i, stream_);
    run(0, stream_);
    events.record(2 * i + 1, stream_);
  }
  for (int i = 1; i <= kCoolSamples; ++i) us.push_back(events.us(2 * i, 2 * i + 1));  // the first one warms up
  Timing t = summarise(us);
  t.gpu = nvml_.stop();
  return t;
}

Timing Bench::sustained(const Run& run, int sets) {
  Events estimate(2);
  for (int i = 0; i < 2; ++i) {  // the first one warms up
    estimate.record(0, stream_);
    run(0, stream_);
    estimate.record(1, stream_);
    estimate.us(0, 1);
  }
  const double guess = std::max(2.0, estimate.us(0, 1));
  const int rounds = std::clamp(static_cast<int>(kGraphMs * 1e3 / guess) / sets, 1, std::max(1, 2000 / sets));
  const int launches = rounds * sets;
  const Graph graph(run, sets, launches, stream_);
  const auto start = std::chrono::steady_clock::now();
  int warm = 0;
  for (; since_ms(start) < kWarmUpMs; ++warm) {
    graph.launch(stream_);
    throw_unless(cudaStreamSynchronize(stream_), "running a graph");
  }
  const double each_ms = since_ms(start) / warm;
  const int replays = std::clamp(static_cast<int>(kTimedMs / each_ms) + 1, 8, 400);
  Events events(replays + 1);
  nvml_.start();
  events.record(0, stream_);
  for (int i = 0; i < replays; ++i) graph.launch(stream_), events.record(i + 1, stream_);
  std::vector<double> us;
  for (int i = 0; i < replays; ++i) us.push_back(events.us(i, i + 1) / launches);
  Timing t = summarise(us);
  t.gpu = nvml_.stop();
  return t;
}

}  // namespace railcast::kernels
