// Reference, validate, time: what every measured row goes through. To add a kernel: derive a Workload, describe it as a
// Case, call Bench::measure from a function, and name that function in suites.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/csv.hpp"
#include "kernels/nvml.hpp"
#include "kernels/options.hpp"
#include "kernels/reference.hpp"

namespace railcast::kernels {

/// One kernel with its buffers: `sets` independent copies, so that timing can rotate over more than L2 holds.
class Workload {
 public:
  virtual ~Workload() = default;
  /// Launches on the stream with the buffers of `set`; no allocation, no synchronisation (it is captured in a graph).
  virtual void run(int set, cudaStream_t stream) = 0;
  /// Poisons the outputs of set 0, runs it, and compares with the reference. An element left unwritten, or written
  /// where nothing should be, is an infinite error. Runs before any timing.
  virtual Difference check(cudaStream_t stream) = 0;
  /// What set 0 holds after a run, where two runs must agree bit for bit; else nothing.
  virtual std::vector<std::uint8_t> output() const { return {}; }
};

/// One row to be.
struct Case {
  std::string stem;  ///< the CSV's name, and the Shape's
  Fields shape;      ///< e.g. {{"m", "4096"}, {"n", "7168"}, {"k", "2048"}}
  std::string dtype = "fp8_block", out_dtype = "bf16";
  int sms = 0;  ///< SMs in use; 0 = all
  std::string impl = "railcast";
  Fields notes;             ///< columns beside the key: the tile that ran, the rows of each group
  double flops = 0;         ///< per run; 0 for memory-bound kernels
  double bytes = 0;         ///< fewest bytes through device memory: inputs once, outputs once
  double set_bytes = 0;     ///< device memory of one set (to decide how many sets exceed L2)
  double tolerance = 2e-3;  ///< largest relative Frobenius error that makes a row
  // What is asked of it (printed beside what was measured); 0 = nothing.
  double must_of_copy = 0;  ///< of the rate of a copy of as many bytes in the same run, impl + "_as_copy"
  double must_us = 0;
  std::function<std::unique_ptr<Workload>(int sets)> make;
};

struct Timing {
  double p10_us = 0, p50_us = 0, p90_us = 0;
  int samples = 0;
  Gpu gpu;  ///< clocks, power, temperature and throttling while it ran
};

/// One printed row, kept for ratios and --json.
struct Result {
  Case what;
  std::string method;
  Timing time;
  Difference error;
};

using Random = std::mt19937_64;
/// Of one case: everything random in it follows from its seed and the kernel's name.
Random random_of(std::uint64_t seed, const std::string& kernel);
std::int64_t between(Random& random, std::int64_t low, std::int64_t high);

/// A random problem of a kernel, with its buffers.
struct RandomCase {
  std::string what;  ///< its shape in words
  double tolerance = 0;
  std::unique_ptr<Workload> work;
};

using Run = std::function<void(int set, cudaStream_t stream)>;

class Bench {
 public:
  explicit Bench(Options options);
  ~Bench();
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  const Options& options() const { return options_; }
  int sms() const { return sms_; }
  cudaStream_t stream() const { return stream_; }

  /// Checks, times by every method asked for, prints, and appends to <out>/<stem>.csv, unless filtered out or there
  /// already. A case that fails its check writes nothing and makes the program's exit code 1.
  void measure(const Case& c);

  /// The shapes of one stem: those of --shapes FILE or the given ones.
  std::vector<std::vector<std::int64_t>> shapes(const std::string& stem,
                                                const std::vector<std::vector<std::int64_t>>& usual) const;

  /// Checks options().cases random problems, each twice; those that fail are printed with their seed.
  void random_cases(const std::string& kernel, const std::function<RandomCase(Random&)>& make);
  void fail(const std::string& what);  ///< prints it; the program's exit code becomes 1

  // For experiments that are not a Case (copy beside GEMM, ceilings): the two methods and the writer.
  /// One launch between events after an 8 GB memset; median of 15.
  Timing cool(const Run& run);
  /// A graph of back-to-back launches over `sets` rotating buffer sets; 60 ms warm-up, at least 80 ms timed.
  Timing sustained(const Run& run, int sets);
  /// Passes the filter and is not in the CSV yet; on a terminal its name shows while it is measured.
  bool wanted(const std::string& stem, const Fields& key);
  /// Prints and appends, unless filtered out or there already.
  void write(const std::string& stem, const MeasuredRow& row);

  int failures() const { return failures_; }
  const std::vector<Result>& results() const { return results_; }  ///< rows timed so far
  /// Writes --json and says what came of the run. Throws where nothing was asked for.
  void finish() const;

 private:
  MeasuredFile& file(const std::string& stem);
  bool passes(const std::string& stem, const Fields& key);
  std::optional<Difference> checked(const Case& c, Workload& work);
  std::string complaint(RandomCase& c, Difference& worst);
  void report(const Result& result);
  Fields key_of(const Result& result) const;
  double peer_ratio(const Result& result, const std::string& impl, const std::string& dtype = "") const;
  double of_ceiling(const Result& result, double tflops, double gbps);
  void print_rates(const Result& result, double tflops, double gbps);
  void print_asked(const Result& result) const;
  void progress(const std::string& what) const;

  Options options_;
  int sms_ = 0, failures_ = 0;
  int written_ = 0, there_ = 0, filtered_ = 0, absent_ = 0;  ///< rows; cases that have no workload here
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::string gpu_name_;
  std::vector<std::string> comments_;
  cudaStream_t stream_ = nullptr;
  void* flush_ = nullptr;
  std::size_t flush_bytes_ = 0;
  Nvml nvml_;
  std::vector<std::pair<std::string, std::unique_ptr<MeasuredFile>>> files_;
  std::vector<Result> results_;
};

/// The suites of railcast-measure (suites.cpp).
struct Suite {
  const char* family;  ///< --suite takes a suite's name or a family's
  const char* name;
  const char* what;
  void (*run)(Bench&);
  void (*cases)(Bench&) = nullptr;  ///< what --cases runs
};
const std::vector<Suite>& suites();

/// {{"m", "1"}, ...} from names and values.
Fields fields(const std::vector<std::string>& names, const std::vector<std::int64_t>& values);
std::string four_digits(double x);           ///< "0.5435"
std::string one_line(const Fields& fields);  ///< "m=1 n=2"
/// Sets needed so that `bytes` each exceed L2 several times over (220 MB), at most 64.
int rotating_sets(double bytes);

}  // namespace railcast::kernels
