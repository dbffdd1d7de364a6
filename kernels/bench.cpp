#include "kernels/bench.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

constexpr double kRotateBytes = 220e6;  // several times the 50 MB of L2
constexpr std::size_t kFlushBytes = 8ULL << 30;
constexpr int kCoolSamples = 15;
constexpr std::chrono::milliseconds kRest{300};  // before "cool": what ran before leaves the card at its power cap
constexpr double kWarmUpMs = 60, kTimedMs = 90, kGraphMs = 5;

std::string number(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

std::string scientific(double x) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3e", x);
  return text;
}

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

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return text;
}

/// The name of the folder: "NVIDIA H100 80GB HBM3" -> "h100".
std::string short_name(const std::string& gpu) {
  for (const char* known : {"H100", "H200", "H800", "H20"})
    if (gpu.find(known) != std::string::npos) {
      std::string lower = known;
      for (char& c : lower) c = static_cast<char>(std::tolower(c));
      return lower;
    }
  return "gpu";
}

Fields with_method(const Case& c, int all_sms, const std::string& method) {
  Fields key = c.shape;
  key.insert(key.end(), {{"dtype", c.dtype},
                         {"out_dtype", c.out_dtype},
                         {"sms", std::to_string(c.sms > 0 ? c.sms : all_sms)},
                         {"method", method},
                         {"impl", c.impl}});
  return key;
}

}  // namespace

std::string one_line(const Fields& fields) {
  std::string text;
  for (const auto& [name, value] : fields) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}

Fields fields(const std::vector<std::string>& names, const std::vector<std::int64_t>& values) {
  Fields out;
  for (std::size_t i = 0; i < names.size(); ++i) out.emplace_back(names[i], std::to_string(values.at(i)));
  return out;
}

Random random_of(std::uint64_t seed, const std::string& kernel) {
  std::uint64_t mixed = seed * 0x9e3779b97f4a7c15ULL + 0xcbf29ce484222325ULL;  // FNV-1a over the name
  for (const char c : kernel) mixed = (mixed ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return Random(mixed);
}

std::int64_t between(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

int rotating_sets(double bytes) {
  return std::clamp(static_cast<int>(std::ceil(kRotateBytes / std::max(1.0, bytes))), 1, 64);
}

Bench::Bench(Options options) : options_(std::move(options)) {
  const Device device = hopper_device();
  sms_ = device.sms;
  cudaDeviceProp properties{};
  throw_unless(cudaGetDeviceProperties(&properties, device.index), "asking for the device's properties");
  gpu_name_ = properties.name;
  int runtime = 0;
  throw_unless(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  if (options_.out.empty()) options_.out = "validate/measured/" + short_name(gpu_name_);
  comments_ = {"device: " + gpu_name_ + ", " + std::to_string(sms_) + " SMs",
               "driver: " + nvml_.driver() + ", CUDA runtime: " + std::to_string(runtime / 1000) + "." +
                   std::to_string(runtime % 1000 / 10),
               "commit: " + options_.commit, "date: " + today(),
               "written by railcast-measure; error is relative Frobenius against FP64; methods: kernels/README.md"};
  throw_unless(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
}

Bench::~Bench() {
  cudaFree(flush_);
  cudaStreamDestroy(stream_);
}

Timing Bench::cool(const Run& run) {
  if (flush_ == nullptr) {
    flush_bytes_ = std::min<std::size_t>(kFlushBytes, free_bytes() / 2);
    throw_unless(cudaMalloc(&flush_, flush_bytes_), "allocating the flush buffer");
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

MeasuredFile& Bench::file(const std::string& stem) {
  for (auto& [name, file] : files_)
    if (name == stem) return *file;
  files_.emplace_back(stem, std::make_unique<MeasuredFile>(options_.out + "/" + stem + ".csv", comments_));
  return *files_.back().second;
}

bool Bench::wanted(const std::string& stem, const Fields& key) {
  if ((stem + " " + one_line(key)).find(options_.filter) == std::string::npos) return false;
  return options_.dry || !file(stem).has(key);
}

void Bench::write(const std::string& stem, const MeasuredRow& row) {
  if (!options_.dry) file(stem).append(row);
  std::printf("%s %s -> %s\n", stem.c_str(), one_line(row.key).c_str(), one_line(row.values).c_str());
  std::fflush(stdout);
}

void Bench::measure(const Case& c) {
  const auto& impls = options_.impls;
  if (!impls.empty() && std::find(impls.begin(), impls.end(), c.impl) == impls.end()) return;
  std::vector<std::string> methods;
  for (const std::string& method : options_.methods)
    if (wanted(c.stem, with_method(c, sms_, method))) methods.push_back(method);
  if (methods.empty()) return;
  try {
    const int sets = rotating_sets(c.set_bytes);
    const std::unique_ptr<Workload> work = c.make(sets);
    if (!work) return;  // this machine lacks the peer, or the peer refuses the shape
    const Difference error = work->check(stream_);
    if (!(error.relative <= c.tolerance))
      throw std::runtime_error("relative error " + scientific(error.relative) + ", largest " +
                               scientific(error.maximum) + ", allowed " + scientific(c.tolerance));
    const Run run = [&](int set, cudaStream_t stream) { work->run(set, stream); };
    for (const std::string& method : methods)
      report({c, method, method == "cool" ? cool(run) : sustained(run, sets), error});
  } catch (const std::exception& problem) {
    fail(c.stem + " " + one_line(c.shape) + " " + c.impl + ": " + problem.what());
  }
}

void Bench::fail(const std::string& what) {
  ++failures_;
  std::printf("FAILED %s\n", what.c_str());
  std::fflush(stdout);
}

void Bench::random_cases(const std::string& kernel, const std::function<RandomCase(Random&)>& make) {
  Difference worst;
  int failed = 0;
  for (int i = 0; i < options_.cases; ++i) {
    const std::uint64_t seed = options_.seed + static_cast<std::uint64_t>(i);
    Random random = random_of(seed, kernel);
    const RandomCase c = make(random);
    const Difference error = c.work->check(stream_);
    worst = {std::max(worst.relative, error.relative), std::max(worst.maximum, error.maximum)};
    if (error.relative <= c.tolerance) continue;
    fail(kernel + " " + c.what + ": relative error " + scientific(error.relative) + ", allowed " +
         scientific(c.tolerance) + "; again: --cases 1 --seed " + std::to_string(seed));
    if (++failed == 10) break;
  }
  std::printf("%-32s %d random cases from seed %llu, largest relative error %.2e, %d failed\n", kernel.c_str(),
              options_.cases, static_cast<unsigned long long>(options_.seed), worst.relative, failed);
}

/// Beside the copy of as many bytes, and what was asked for.
void Bench::print_asked(const Result& r) const {
  const double of_copy = peer_ratio(r, r.what.impl + "_as_copy", r.what.dtype);
  if (of_copy > 0) std::printf("  %.1f%% of copy", 100 * of_copy);
  if (r.what.must_of_copy > 0)
    std::printf(" (must %.0f%%: %s)", 100 * r.what.must_of_copy,
                of_copy == 0                     ? "copy not timed"
                : of_copy >= r.what.must_of_copy ? "met"
                                                 : "MISSED");
  if (r.what.must_us > 0)
    std::printf("  (must %.1f us: %s)", r.what.must_us, r.time.p50_us <= r.what.must_us ? "met" : "MISSED");
}

/// time(peer) / time(result) for the same shape and method (and dtype, where one is given); 0 if the peer was not
/// measured in this run.
double Bench::peer_ratio(const Result& result, const std::string& impl, const std::string& dtype) const {
  for (const Result& r : results_)
    if (r.what.impl == impl && (dtype.empty() || r.what.dtype == dtype) && r.method == result.method &&
        r.what.stem == result.what.stem && r.what.shape == result.what.shape && r.what.sms == result.what.sms)
      return r.time.p50_us / result.time.p50_us;
  return 0;
}

void Bench::report(const Result& r) {
  const double tflops = r.what.flops / r.time.p50_us / 1e6, gbps = r.what.bytes / r.time.p50_us / 1e3;
  results_.push_back(r);
  Fields values = r.what.notes;
  values.insert(values.end(), {{"p10_us", number(r.time.p10_us, 3)},
                               {"p50_us", number(r.time.p50_us, 3)},
                               {"p90_us", number(r.time.p90_us, 3)},
                               {"samples", std::to_string(r.time.samples)},
                               {"tflops", number(tflops, 1)},
                               {"gbps", number(gbps, 1)},
                               {"error", scientific(r.error.relative)},
                               {"sm_clock_mhz", number(r.time.gpu.sm_clock_mhz, 0)},
                               {"power_w", number(r.time.gpu.power_w, 0)},
                               {"throttled", r.time.gpu.throttled ? "1" : "0"}});
  if (!options_.dry) file(r.what.stem).append({with_method(r.what, sms_, r.method), values});
  std::string line = r.what.stem + " " + one_line(r.what.shape);
  if (r.what.sms > 0) line += " sms=" + std::to_string(r.what.sms);
  std::printf("%-46s %-9s %-14s %9.2f us %7.1f TF %6.0f GB/s  err %.1e max %.1e  %4.0f MHz %3.0f W", line.c_str(),
              r.method.c_str(), r.what.impl.c_str(), r.time.p50_us, tflops, gbps, r.error.relative, r.error.maximum,
              r.time.gpu.sm_clock_mhz, r.time.gpu.power_w);
  // The tensor pipe does 8192 FLOP per SM and cycle in FP8 (measured: ceilings.csv).
  if (tflops > 0 && r.time.gpu.sm_clock_mhz > 0)
    std::printf("  %3.0f%% of pipe", 100 * tflops * 1e6 / (sms_ * 8192.0 * r.time.gpu.sm_clock_mhz));
  for (const char* peer : {"cublaslt_block", "cublaslt_fp8", "cublaslt_bf16"})
    if (const double ratio = peer_ratio(r, peer); ratio > 0 && r.what.impl == "railcast")
      std::printf("  %.2fx %s", ratio, peer);
  print_asked(r);
  std::printf("\n");
  std::fflush(stdout);
}

std::vector<std::vector<std::int64_t>> Bench::shapes(const std::string& stem,
                                                     const std::vector<std::vector<std::int64_t>>& usual) const {
  if (options_.shapes_file.empty()) return usual;
  std::ifstream in(options_.shapes_file);
  if (!in)
    throw std::runtime_error(options_.shapes_file + ": cannot be read; --shapes wants lines like gemm,4096,7168,2048");
  std::vector<std::vector<std::int64_t>> shapes;
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> cells = split_csv(line);
    if (cells.empty() || cells[0] != stem) continue;
    shapes.emplace_back();
    for (std::size_t i = 1; i < cells.size(); ++i) shapes.back().push_back(std::stoll(cells[i]));
  }
  return shapes;
}

void Bench::write_json() const {
  if (options_.json.empty()) return;
  std::ofstream out(options_.json);
  out << "{\n  \"context\": {\"date\": \"" << today() << "\", \"host_name\": \"" << gpu_name_
      << "\", \"executable\": \"railcast-measure\", \"num_cpus\": 1, \"mhz_per_cpu\": 0, \"cpu_scaling_enabled\": "
         "false, "
         "\"library_build_type\": \"release\"},\n  \"benchmarks\": [";
  for (std::size_t i = 0; i < results_.size(); ++i) {
    const Result& r = results_[i];
    std::string name = r.what.stem;
    for (const auto& [field, value] : r.what.shape) name += "/" + field + ":" + value;
    name += "/" + r.method + "/" + r.what.impl;
    out << (i > 0 ? "," : "") << "\n    {\"name\": \"" << name << "\", \"run_name\": \"" << name
        << "\", \"run_type\": \"iteration\", \"iterations\": " << r.time.samples << ", \"real_time\": " << r.time.p50_us
        << ", \"cpu_time\": " << r.time.p50_us << ", \"time_unit\": \"us\", \"error\": " << r.error.relative
        << ", \"max_error\": " << r.error.maximum << ", \"sm_clock_mhz\": " << r.time.gpu.sm_clock_mhz
        << ", \"power_w\": " << r.time.gpu.power_w << ", \"temperature_c\": " << r.time.gpu.temperature_c
        << ", \"throttle_reasons\": " << r.time.gpu.throttle_reasons << "}";
  }
  out << "\n  ]\n}\n";
}

}  // namespace railcast::kernels
