// Parses the command line, runs one verb, turns what it throws into an exit code.
#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/verbs.hpp"
#include "model/scenario.hpp"

namespace {

using namespace railcast;

void add_json(CLI::App* verb, std::optional<std::string>& json) {
  verb->add_option_function<std::vector<std::string>>(
          "--json", [&json](const std::vector<std::string>& to) { json = to.empty() || to[0].empty() ? "-" : to[0]; },
          "write JSON to FILE, or to standard output instead of text")
      ->expected(0, 1)
      ->type_name("[FILE]");
}

/// What every verb on a scenario takes, but for the scenario itself.
void add_common(CLI::App* verb, ScenarioOptions& o) {
  verb->add_option("--set", o.set, "override a key, e.g. plan.ep=32, machine=h100 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option_function<std::string>(
      "--calibration", [&o](const std::string& folder) { o.set.push_back("machine.calibration=" + folder); },
      "folder that `railcast fit -o` wrote: its costs go before the machine's");
  add_json(verb, o.json);
  verb->add_option("--threads", o.threads, "threads for independent forecasts (the result does not depend on it)")
      ->check(CLI::Range(1, 1024));
}

void add_scenario(CLI::App* verb, ScenarioOptions& o) {
  verb->add_option("SCENARIO", o.scenario, "scenario file (see `railcast list`)")->required();
  add_common(verb, o);
}

void add_run(CLI::App& app, RunOptions& o) {
  CLI::App* verb = app.add_subcommand("run", "forecast a scenario");
  add_scenario(verb, o);
  verb->add_option("--trace", o.trace, "write the step's timeline: FILE.pftrace (ui.perfetto.dev) or FILE.json");
  verb->add_flag("--no-fold", o.no_fold, "simulate every rank instead of one of each kind");
  verb->add_flag("--sensitivity", o.sensitivity, "what a faster kernel family, memory or port would be worth instead");
  verb->add_flag("--allow-oom", o.allow_oom, "exit with 0 even where the plan does not fit in memory");
  verb->footer(
      "Examples:\n"
      "  railcast run scenarios/train/deepseek-v3-2048-h800.json\n"
      "  railcast run scenarios/train/deepseek-v3-2048-h800.json --set machine=h100 --set plan.comm_sms=24\n"
      "  railcast run scenarios/train/deepseek-v3-2048-h800.json --json forecast.json --trace step.pftrace\n"
      "Exit codes: 0 forecast, 2 bad input, 3 the plan does not fit in memory, 1 anything else.");
}

void add_schedules(CLI::App& app, ScenarioOptions& o) {
  CLI::App* verb = app.add_subcommand("schedules", "compare pipeline schedules on a scenario");
  add_scenario(verb, o);
  verb->footer(
      "Examples:\n"
      "  railcast schedules scenarios/train/deepseek-v3-2048-h800.json\n"
      "  railcast schedules scenarios/train/deepseek-v3-2048-h800.json --set plan.split=uniform --json -");
}

void add_tune(CLI::App& app, ScenarioOptions& o) {
  CLI::App* verb = app.add_subcommand("tune", "search communication SMs and chunks, with the curve around the best");
  add_scenario(verb, o);
  verb->footer(
      "Examples:\n"
      "  railcast tune scenarios/train/deepseek-v3-2048-h800.json\n"
      "  railcast tune scenarios/network/deepep-ep64.json --set machine=h100 --json -");
}

void add_explain(CLI::App& app, ExplainOptions& o) {
  CLI::App* verb = app.add_subcommand("explain", "every op of one layer: shape, time alone, provenance");
  add_scenario(verb, o);
  verb->add_option("--layer", o.layer, "layer (default: the last)");
  verb->footer(
      "Examples:\n"
      "  railcast explain scenarios/train/deepseek-v3-2048-h800.json\n"
      "  railcast explain scenarios/train/deepseek-v3-2048-h800.json --layer 0");
}

void add_sweep(CLI::App& app, SweepOptions& o) {
  CLI::App* verb = app.add_subcommand("sweep", "forecast a scenario for every combination of some keys' values");
  add_scenario(verb, o);
  verb->add_option("--metric", o.metrics, "figure of `run --json` to show, e.g. phases.bubble_s (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  verb->footer(
      "Examples:\n"
      "  railcast sweep scenarios/train/deepseek-v3-2048-h800.json --set 'machine.nic=200 Gb/s,400 Gb/s,800 Gb/s'\n"
      "  railcast sweep scenarios/train/deepseek-v3-2048-h800.json --set 'fabric.dead_nics=[],[5]'\n"
      "  railcast sweep scenarios/network/two-jobs.json --set fabric.oversubscription=1,2,4 --json\n"
      "docs/fabric.md lists the keys and what must follow from them.");
}

void add_import(CLI::App& app, ImportOptions& o) {
  CLI::App* verb = app.add_subcommand("import-topology", "a node's topology file into a machine.json");
  verb->add_option("FILE", o.file, "NCCL_TOPO_DUMP_FILE's XML, or the text of `nvidia-smi topo -m`")->required();
  verb->add_option("--machine", o.machine,
                   "machine whose figures stand for what FILE does not say (default: by the GPU)");
  verb->add_option("--name", o.name, "name of the new machine (default: the machine's, imported)");
  verb->add_option("--link", o.link,
                   "rate of one NVLink each way (default: 25 GB/s, NVLink 5's 50 GB/s on compute capability "
                   "10.0); without NVLink, of a GPU's PCIe port");
  verb->footer(
      "Examples:\n"
      "  NCCL_TOPO_DUMP_FILE=node.xml all_reduce_perf; railcast import-topology node.xml > mine/machine.json\n"
      "  nvidia-smi topo -m > node.txt; railcast import-topology node.txt --machine h100 > mine/machine.json\n"
      "  railcast run scenarios/train/deepseek-v3-2048-h800.json --set machine=mine/machine.json");
}

void add_fit(CLI::App& app, FitOptions& o) {
  CLI::App* verb = app.add_subcommand("fit", "measured rows into calibrated costs with intervals");
  verb->add_option("MEASURED", o.measured, "file or folder: railcast-measure, nccl-tests, DeepEP, nvbench, ...")
      ->required();
  verb->add_option("-o,--output", o.calibration, "folder that fit.json is written to")->required();
  verb->add_option("--device", o.device, "machine the rows are of, where the files do not say (h100)");
  verb->add_option("--held-out", o.held_out, "share of the shapes kept from the fit to judge it")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  verb->add_option("--report", o.report, "write plots of forecast against measured to FILE.html");
  verb->footer(
      "Examples:\n"
      "  railcast fit validate/measured/h100 -o /tmp/calibration\n"
      "  railcast fit sweep.csv --device h100 -o /tmp/calibration --held-out 0 --report fit.html");
}

void add_validate(CLI::App& app, ValidateOptions& o) {
  CLI::App* verb = app.add_subcommand("validate", "forecasts beside measurements that nobody fitted to");
  verb->add_option("--suite", o.suite, "kernels, network, training or all")
      ->check(CLI::IsMember({"kernels", "network", "training", "all"}))
      ->capture_default_str();
  auto* rows = verb->add_option("--rows", o.rows, "forecast these measured rows instead, from --calibration");
  auto* calibration = verb->add_option("--calibration", o.calibration, "folder with a fit.json");
  rows->needs(calibration), calibration->needs(rows);
  verb->add_option("--device", o.device, "machine the rows are of, where the files do not say");
  verb->add_option("--explain", o.explain, "what dominates one case's error, by its id")->excludes(rows);
  add_json(verb, o.json);
  verb->add_flag("--md", o.markdown, "Markdown instead of text");
  verb->footer(
      "Examples:\n"
      "  railcast validate\n"
      "  railcast validate --suite training --explain deepseek-v3-2048-h800/step_time_s\n"
      "  railcast validate --calibration /tmp/calibration --rows held_out.csv --device h100 --json\n"
      "Exit codes: 0 every stated bound holds, 1 one is broken, 2 bad input.");
}

void add_compare(CLI::App& app, CompareOptions& o) {
  CLI::App* verb = app.add_subcommand("compare", "what got faster or slower between two sets of measured rows");
  verb->add_option("BEFORE", o.before, "file or folder of measured rows, as `railcast fit` reads them")->required();
  verb->add_option("AFTER", o.after, "the same, of another time or of a peer")->required();
  verb->add_option("--impl", o.impl, "only rows of this impl, e.g. railcast (default: every impl beside itself)");
  auto* base = verb->add_option("--base-impl", o.base_impl, "the impl of BEFORE, where it is another than of AFTER");
  base->needs("--impl");
  verb->add_option("--where", o.where, "only shapes with FIELD=N, FIELD>=N or FIELD<=N, e.g. m>=1024 (repeatable)")
      ->take_all()
      ->allow_extra_args(false);
  verb->add_option("--allow", o.allow, "slowdown of a row from which on the exit code is 1, e.g. '5 %'");
  verb->add_option("--device", o.device, "machine the rows are of, where the files do not say");
  verb->add_flag("--rows", o.rows, "show each pair");
  add_json(verb, o.json);
  verb->footer(
      "Examples:\n"
      "  railcast compare last_week.json today.json --allow '5 %'\n"
      "  railcast compare validate/peers/h100 validate/measured/h100 --base-impl DeepGEMM --impl railcast\n"
      "  railcast compare validate/measured/h100 validate/measured/h100 --base-impl cublaslt_block --impl railcast \\\n"
      "      --where 'm>=1024' --rows\n"
      "Exit codes: 0 compared, 1 a row is slower than --allow, 2 bad input.");
}

void add_balance(CLI::App& app, BalanceOptions& o) {
  CLI::App* verb = app.add_subcommand("balance", "is expert load balancing worth it, and how often?");
  verb->add_option("COUNTS", o.counts,
                   "tokens by expert, [layers x experts]: .npy, .csv or .json; or a generator (.json); more files are "
                   "later windows")
      ->required();
  verb->add_option("--scenario", o.scenario, "model, machine and precision (default: the DeepSeek-V3 preset)");
  verb->add_option("--gpus", o.gpus, "GPUs of the expert-parallel group")->check(CLI::Range(1, 65536));
  verb->add_option("--redundant", o.redundant, "replicas more than there are experts")->check(CLI::Range(0, 1 << 20));
  verb->add_option("--tokens", o.tokens, "tokens of a GPU in a forward pass")->check(CLI::Range(1, 1 << 24));
  verb->add_flag("--token-ids", o.token_ids, "COUNTS holds expert ids by token, [(layers x) tokens x top_k]");
  verb->add_option("--window", o.window, "time between two windows of counts, e.g. \"10 s\"");
  verb->add_option("--layer", o.layer, "layer shown GPU by GPU (default: the least balanced)");
  verb->add_flag("--step", o.step, "also forecast the scenario's training step under these loads");
  verb->add_option("--bias-steps", o.bias_steps, "also simulate this many steps of V3's bias update")
      ->check(CLI::Range(0, 100000));
  add_common(verb, o);
  verb->footer(
      "Examples:\n"
      "  railcast balance counts.npy --redundant 32 --gpus 32\n"
      "  railcast balance monday.csv tuesday.csv --redundant 32 --gpus 32 --window \"600 s\"\n"
      "  railcast balance scenarios/routing/zipf.json --gpus 64 --step\n"
      "  railcast balance ids.npy --token-ids --gpus 32 --json plan.json   # placements as physical_to_logical");
}

int dispatch(int argc, char** argv) {
  CLI::App app{"railcast: forecasts what a Mixture-of-Experts model does on a GPU cluster"};
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  railcast list\n"
      "  railcast run scenarios/train/deepseek-v3-2048-h800.json\n"
      "`railcast VERB --help` has more.");
  RunOptions run_options;
  ScenarioOptions schedules_options, tune_options;
  ExplainOptions explain_options;
  SweepOptions sweep_options;
  ImportOptions import_options;
  add_run(app, run_options), add_sweep(app, sweep_options), add_schedules(app, schedules_options),
      add_tune(app, tune_options), add_explain(app, explain_options);
  add_import(app, import_options);
  FitOptions fit_options;
  ValidateOptions validate_options;
  CompareOptions compare_options;
  add_fit(app, fit_options), add_validate(app, validate_options), add_compare(app, compare_options);
  BalanceOptions balance_options;
  add_balance(app, balance_options);
  app.add_subcommand("list", "the presets, a line each");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kForecast : kBadInput;
  }
  if (app.got_subcommand("run")) return run(run_options);
  if (app.got_subcommand("schedules")) return schedules(schedules_options);
  if (app.got_subcommand("tune")) return tune(tune_options);
  if (app.got_subcommand("explain")) return explain(explain_options);
  if (app.got_subcommand("sweep")) return sweep(sweep_options);
  if (app.got_subcommand("import-topology")) return import_topology(import_options);
  if (app.got_subcommand("fit")) return fit(fit_options);
  if (app.got_subcommand("compare")) return compare(compare_options);
  if (app.got_subcommand("validate")) return validate(validate_options);
  if (app.got_subcommand("balance")) return balance(balance_options);
  return list();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch(argc, argv);
  } catch (const BadInput& e) {
    std::cerr << "railcast: " << e.what() << "\n";
    return kBadInput;
  } catch (const std::exception& e) {
    std::cerr << "railcast: " << e.what() << "\n";
    return kFailed;
  }
}
