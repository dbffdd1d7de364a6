// Reference, validate, time: what every measured row goes through. To add a kernel: derive a Workload, describe it as a
// Case, call Bench::measure from a function, and name that function in suites.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernels/csv.hpp"
#include "kernels/nvml.hpp"
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

struct Options {
  std::string suite = "all", filter, shapes_file, out, json, commit = "unknown", device_name = "h100";
  std::vector<std::string> methods = {"cool", "sustained"};
  std::vector<std::string> impls;  ///< empty: all
  bool dry = false;                ///< measure and print, write no CSV
  int cases = 0;                   ///< > 0: this many random cases of each kernel instead of timing
  std::uint64_t seed = 1;          ///< of the first of them; case i of seed s is case 0 of seed s + i
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

  /// The shapes of one stem: those of --shapes FILE (lines "stem,int,int,...") or the given ones.
  std::vector<std::vector<std::int64_t>> shapes(const std::string& stem,
                                                const std::vector<std::vector<std::int64_t>>& usual) const;

  /// Checks options().cases random problems; those that fail are printed with their seed.
  void random_cases(const std::string& kernel, const std::function<RandomCase(Random&)>& make);
  void fail(const std::string& what);  ///< prints it; the program's exit code becomes 1

  // For experiments that are not a Case (copy beside GEMM, ceilings): the two methods and the writer.
  /// One launch between events after an 8 GB memset; median of 15.
  Timing cool(const Run& run);
  /// A graph of back-to-back launches over `sets` rotating buffer sets; 60 ms warm-up, at least 80 ms timed.
  Timing sustained(const Run& run, int sets);
  bool wanted(const std::string& stem, const Fields& key);  ///< passes the filter and is not in the CSV yet
  void write(const std::string& stem, const MeasuredRow& row);

  int failures() const { return failures_; }
  const std::vector<Result>& results() const { return results_; }  ///< rows timed so far
  void write_json() const;

 private:
  MeasuredFile& file(const std::string& stem);
  void report(const Result& result);
  double peer_ratio(const Result& result, const std::string& impl, const std::string& dtype = "") const;
  void print_asked(const Result& result) const;

  Options options_;
  int sms_ = 0, failures_ = 0;
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
std::string one_line(const Fields& fields);  ///< "m=1 n=2"
/// Sets needed so that `bytes` each exceed L2 several times over (220 MB), at most 64.
int rotating_sets(double bytes);

}  // namespace railcast::kernels
