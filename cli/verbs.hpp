// What each verb takes. Each has its own file; `main` only parses. They return the exit code.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace railcast {

enum ExitCode { kForecast = 0, kFailed = 1, kBadInput = 2, kDoesNotFit = 3 };

/// What every verb on a scenario takes.
struct ScenarioOptions {
  std::string scenario;
  std::vector<std::string> set;     ///< "plan.ep=32"
  std::optional<std::string> json;  ///< a file, or "-" for standard output
  int threads = 1;
};

struct RunOptions : ScenarioOptions {
  std::string trace;  ///< .pftrace or .json
  bool no_fold = false, allow_oom = false, sensitivity = false;
};
int run(const RunOptions& o);

int schedules(const ScenarioOptions& o);

/// Communication SMs and chunks of a training step, or of an all-to-all alone.
int tune(const ScenarioOptions& o);

struct ExplainOptions : ScenarioOptions {
  std::optional<std::int64_t> layer;
};
int explain(const ExplainOptions& o);

struct SweepOptions : ScenarioOptions {
  std::vector<std::string> metrics;  ///< names of the result's JSON; empty: the headlines
};
/// Each `set` is KEY=VALUE,VALUE,...: every combination is forecast.
int sweep(const SweepOptions& o);

struct ImportOptions {
  std::string file;
  std::string machine;  ///< what the file does not say comes from it; empty: by the GPU's compute capability
  std::string name;
  std::string link;  ///< rate of one NVLink each way; of a GPU's PCIe port where it has no NVLink
};
/// Prints a machine.json.
int import_topology(const ImportOptions& o);

/// `scenario` gives model, machine, precision and communication SMs.
struct BalanceOptions : ScenarioOptions {
  std::vector<std::string> counts;  ///< files, one window after the other
  std::int64_t redundant = 0, gpus = 32, tokens = 4096;
  bool token_ids = false, step = false;
  std::string window;                 ///< duration of a window, "10 s"
  std::optional<std::int64_t> layer;  ///< shown rank by rank
  std::int64_t bias_steps = 0;
};
int balance(const BalanceOptions& o);

int list();

struct FitOptions {
  std::string measured, calibration;  ///< a file or folder of rows; the folder that fit.json goes to
  std::string device;                 ///< a machine's name; empty: as the files say
  std::string report;                 ///< .html or .svg
  double held_out = 0.25;             ///< share of the shapes
};
int fit(const FitOptions& o);

struct CompareOptions {
  std::string before, after;       ///< files or folders of measured rows
  std::string impl, base_impl;     ///< of after and before; empty: all, each beside itself; before's: as after's
  std::string device, allow;       ///< allow: a pair's slowdown, "5 %"; empty: any
  std::vector<std::string> where;  ///< "m>=1024"
  bool rows = false;               ///< each pair
  std::optional<std::string> json;
};
int compare(const CompareOptions& o);

struct ValidateOptions {
  std::string suite = "all";
  std::string calibration, rows, device;  ///< with rows: forecast them from the calibration's fit
  std::string explain;                    ///< the id of one case
  std::optional<std::string> json;
  bool markdown = false;
};
int validate(const ValidateOptions& o);

/// Colours only on a terminal, and not where NO_COLOR is set (no-color.org).
bool use_colour();
/// A line on standard error while long work goes on, where that is a terminal.
void progress(const std::string& line);
/// Writes a verb's JSON where it was asked for; true where standard output now holds it, and no text may follow.
bool write_json(const std::optional<std::string>& target, const std::string& json);

}  // namespace railcast
