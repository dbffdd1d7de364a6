#include "kernels/bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ctime>
#include <stdexcept>

#include "kernels/benchmark_json.hpp"
#include "kernels/launch.hpp"

namespace railcast::kernels {
namespace {

std::string number(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}

/// Nothing stays of what progress() printed.
void clear_progress() {
  if (isatty(STDERR_FILENO) != 0) std::fputs("\r\033[K", stderr);
}

std::string scientific(double x) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3e", x);
  return text;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", std::gmtime(&now));
  return text;
}

/// Of the current GPU, whose number NVML may not share; empty: unknown.
std::string pci_address() {
  int device = 0;
  char text[32] = {};
  if (cudaGetDevice(&device) != cudaSuccess) return "";
  return cudaDeviceGetPCIBusId(text, sizeof text, device) == cudaSuccess ? text : "";
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

/// What wgmma reached with operands resident: a row's name in ceilings.csv. Empty: not measured for this type.
std::string wgmma_ceiling(const Result& r) {
  const bool tokens = r.what.stem.find("wgrad") == 0;
  const std::string promotion = r.what.dtype == "fp8_tensor"  ? "none"
                                : r.what.dtype != "fp8_block" ? ""
                                : tokens                      ? "tokens"
                                                              : "weights";
  return promotion.empty() ? "" : "wgmma_256x128_promotion_" + promotion + "_" + r.method;
}

}  // namespace

std::string four_digits(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", x);
  return text;
}

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

Bench::Bench(Options options) : options_(std::move(options)), nvml_(pci_address()) {
  const Device device = hopper_device();
  sms_ = device.sms;
  cudaDeviceProp properties{};
  throw_unless(cudaGetDeviceProperties(&properties, device.index), "asking for the device's properties");
  gpu_name_ = properties.name;
  int runtime = 0;
  throw_unless(cudaRuntimeGetVersion(&runtime), "asking for the runtime's version");
  if (options_.out.empty()) options_.out = "validate/measured/" + short_name(gpu_name_);
  if (!options_.dry && options_.cases == 0) require_writable(options_.out);
  if (!options_.json.empty()) write_benchmark_json(options_.json, gpu_name_, today(), {});
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

MeasuredFile& Bench::file(const std::string& stem) {
  for (auto& [name, file] : files_)
    if (name == stem) return *file;
  files_.emplace_back(stem, std::make_unique<MeasuredFile>(options_.out + "/" + stem + ".csv", comments_));
  return *files_.back().second;
}

bool Bench::passes(const std::string& stem, const Fields& key) {
  if ((stem + " " + one_line(key)).find(options_.filter) == std::string::npos) return ++filtered_, false;
  if (!options_.dry && file(stem).has(key)) return ++there_, false;
  return true;
}

bool Bench::wanted(const std::string& stem, const Fields& key) {
  if (!passes(stem, key)) return false;
  progress(stem + " " + one_line(key));
  return true;
}

void Bench::write(const std::string& stem, const MeasuredRow& row) {
  if (!passes(stem, row.key)) return;
  if (!options_.dry) file(stem).append(row);
  ++written_;
  clear_progress();
  std::printf("%s %s -> %s\n", stem.c_str(), one_line(row.key).c_str(), one_line(row.values).c_str());
  std::fflush(stdout);
}

/// "[12 rows, 3:10] gemm m=64 ..." on a terminal's last line.
void Bench::progress(const std::string& what) const {
  if (isatty(STDERR_FILENO) == 0) return;
  const auto passed = std::chrono::steady_clock::now() - started_;
  const auto seconds = static_cast<long>(std::chrono::duration_cast<std::chrono::seconds>(passed).count());
  std::fprintf(stderr, "\r\033[K[%d rows, %ld:%02ld] %.100s", written_, seconds / 60, seconds % 60, what.c_str());
}

/// The error that a row needs; none, and the failure told, where it is too large.
std::optional<Difference> Bench::checked(const Case& c, Workload& work) {
  const Difference error = work.check(stream_);
  if (error.relative <= c.tolerance) return error;
  fail(c.stem + " " + one_line(c.shape) + " " + c.impl + ": relative error " + scientific(error.relative) +
       ", largest " + scientific(error.maximum) + ", allowed " + scientific(c.tolerance));
  return std::nullopt;
}

void Bench::measure(const Case& c) {
  const auto& impls = options_.impls;
  if (!impls.empty() && std::find(impls.begin(), impls.end(), c.impl) == impls.end()) return void(++filtered_);
  std::vector<std::string> methods;
  for (const std::string& method : options_.methods)
    if (wanted(c.stem, with_method(c, sms_, method))) methods.push_back(method);
  if (methods.empty()) return;
  std::vector<Result> results;
  try {
    const int sets = rotating_sets(c.set_bytes);
    const std::unique_ptr<Workload> work = c.make(sets);
    if (!work) return void(++absent_);  // this machine lacks the peer, or the peer refuses the shape
    const std::optional<Difference> error = checked(c, *work);
    const Run run = [&](int set, cudaStream_t stream) { work->run(set, stream); };
    for (const std::string& method : methods)
      if (error) results.push_back({c, method, method == "cool" ? cool(run) : sustained(run, sets), *error});
  } catch (const std::exception& problem) {
    fail(c.stem + " " + one_line(c.shape) + " " + c.impl + ": " + problem.what());
  }
  for (const Result& result : results) report(result);
}

void Bench::fail(const std::string& what) {
  ++failures_;
  clear_progress();
  std::printf("FAILED %s\n", what.c_str());
  std::fflush(stdout);
}

/// What is wrong with a case; nothing where it is right twice, and the same bits both times.
std::string Bench::complaint(RandomCase& c, Difference& worst) {
  std::vector<std::uint8_t> outputs[2];
  for (std::vector<std::uint8_t>& output : outputs) {
    const Difference error = c.work->check(stream_);
    worst = {std::max(worst.relative, error.relative), std::max(worst.maximum, error.maximum)};
    if (!(error.relative <= c.tolerance))
      return "relative error " + scientific(error.relative) + ", allowed " + scientific(c.tolerance);
    output = c.work->output();
  }
  return outputs[0] == outputs[1] ? "" : "the second run gives other bits than the first";
}

void Bench::random_cases(const std::string& kernel, const std::function<RandomCase(Random&)>& make) {
  Difference worst;
  int failed = 0;
  for (int i = 0; i < options_.cases && failed < 10; ++i) {
    const std::uint64_t seed = options_.seed + static_cast<std::uint64_t>(i);
    progress(kernel + ", case " + std::to_string(i + 1) + " of " + std::to_string(options_.cases));
    Random random = random_of(seed, kernel);
    RandomCase c = make(random);
    const std::string wrong = complaint(c, worst);
    if (wrong.empty()) continue;
    ++failed;
    fail(kernel + " " + c.what + ": " + wrong + "; again: --cases 1 --seed " + std::to_string(seed));
  }
  clear_progress();
  std::printf("%-32s %d random cases from seed %llu, largest relative error %.2e, %d failed\n", kernel.c_str(),
              options_.cases, static_cast<unsigned long long>(options_.seed), worst.relative, failed);
  std::fflush(stdout);
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

/// How near it comes to the nearer of the ceilings in <out>: wgmma with its scales applied (ceilings.csv), and a copy
/// of 1 GiB (copy.csv). 0: on fewer SMs, or the ceilings were not measured.
double Bench::of_ceiling(const Result& r, double tflops, double gbps) {
  const std::string name = wgmma_ceiling(r);
  if (r.what.sms > 0 || (tflops > 0 && name.empty())) return 0;
  const double flops_ceiling = name.empty() ? 0 : file("ceilings").number({{"name", name}}, "value");
  const double copied =
      file("copy").number({{"bytes", "1073741824"}, {"sms", std::to_string(sms_)}, {"method", r.method}}, "gbps");
  return std::max(flops_ceiling > 0 ? tflops / flops_ceiling : 0, copied > 0 ? gbps / copied : 0);
}

void Bench::print_rates(const Result& r, double tflops, double gbps) {
  std::string line = r.what.stem + " " + one_line(r.what.shape);
  if (r.what.sms > 0) line += " sms=" + std::to_string(r.what.sms);
  std::printf("%-46s %-9s %-14s %9.2f us %7.1f TF %6.0f GB/s  err %.1e max %.1e  %4.0f MHz %3.0f W", line.c_str(),
              r.method.c_str(), r.what.impl.c_str(), r.time.p50_us, tflops, gbps, r.error.relative, r.error.maximum,
              r.time.gpu.sm_clock_mhz, r.time.gpu.power_w);
  if (const double share = of_ceiling(r, tflops, gbps); share > 0) std::printf("  %3.0f%% of ceiling", 100 * share);
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
  if (!options_.dry) file(r.what.stem).append({key_of(r), values});
  ++written_;
  clear_progress();
  print_rates(r, tflops, gbps);
  for (const char* peer : {"cublaslt_block", "cublaslt_fp8", "cublaslt_bf16"})
    if (const double ratio = peer_ratio(r, peer); ratio > 0 && r.what.impl == "railcast")
      std::printf("  %.2fx %s", ratio, peer);
  print_asked(r);
  std::printf("\n");
  std::fflush(stdout);
}

Fields Bench::key_of(const Result& r) const { return with_method(r.what, sms_, r.method); }

std::vector<std::vector<std::int64_t>> Bench::shapes(const std::string& stem,
                                                     const std::vector<std::vector<std::int64_t>>& usual) const {
  if (options_.shapes_file.empty()) return usual;
  const auto lines = options_.shapes.find(stem);
  return lines == options_.shapes.end() ? std::vector<std::vector<std::int64_t>>{} : lines->second;
}

void Bench::finish() const {
  clear_progress();
  if (options_.cases > 0) return;
  if (written_ + there_ + absent_ + failures_ == 0 && filtered_ > 0)
    throw std::runtime_error("none of " + std::to_string(filtered_) + " rows matches" +
                             (options_.filter.empty() ? "" : " --filter '" + options_.filter + "'") +
                             (options_.impls.empty() ? "" : " --impl") +
                             "; a row is named such as 'gemm m=64 n=2112 k=7168 dtype=fp8_block out_dtype=bf16 sms=132 "
                             "method=cool impl=railcast'");
  std::printf("%d rows %s, %d were there already, %d failed", written_,
              options_.dry ? "printed" : ("in " + options_.out).c_str(), there_, failures_);
  if (absent_ > 0) std::printf(", %d that the peer's library does not do here", absent_);
  std::printf("\n");
  if (options_.json.empty()) return;
  std::vector<BenchmarkRow> rows;
  for (const Result& r : results_)
    rows.push_back({benchmark_name(r.what.stem, key_of(r)),
                    r.time.samples,
                    r.time.p50_us,
                    {{"p10_us", r.time.p10_us},
                     {"p90_us", r.time.p90_us},
                     {"error", r.error.relative},
                     {"max_error", r.error.maximum},
                     {"sm_clock_mhz", r.time.gpu.sm_clock_mhz},
                     {"power_w", r.time.gpu.power_w},
                     {"temperature_c", r.time.gpu.temperature_c},
                     {"throttle_reasons", static_cast<double>(r.time.gpu.throttle_reasons)}}});
  write_benchmark_json(options_.json, gpu_name_, today(), rows);
}

}  // namespace railcast::kernels
