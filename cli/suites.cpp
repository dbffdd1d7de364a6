#include "cli/suites.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"
#include "cli/load_calibration.hpp"
#include "cli/load_exchange_kernels.hpp"
#include "cli/load_machine.hpp"
#include "cli/load_own_exchange.hpp"
#include "cli/load_scenario.hpp"
#include "cli/measured.hpp"
#include "cli/result.hpp"
#include "validate/exchange_fit.hpp"
#include "validate/fit.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;
using Cases = std::vector<Case>;

Machine h100() { return load_machine("h100", scenarios_folder()); }
const MeasuredDefaults kH100{"h100", 132, "DeepGEMM", "fp8_block"};

void append(Cases& to, Cases from) { to.insert(to.end(), from.begin(), from.end()); }

/// Each family's fit part forecasts its held-out part.
Cases held_out(const std::string& suite, const std::string& path, const Machine& m, double share) {
  const Split split = Split::by_shape(load_measured(path, kH100).rows, share);
  return compare_rows(fit(split.fit, m), m, split.held_out.rows(), suite);
}

/// validate/measured/h100's families that have rows enough, our own kernels and, measured beside them, cuBLASLt.
Cases measured_cases(const Machine& m) {
  Cases all = held_out("kernels: our GEMMs, held out", validate_folder("measured/h100"), m, kHeldOut);
  for (Case& c : all)
    if (c.id.find("cublaslt") != std::string::npos) c.suite = "kernels: cuBLASLt's GEMMs, held out";
  std::ranges::stable_partition(all, [](const Case& c) { return c.suite == "kernels: our GEMMs, held out"; });
  return all;
}

bool swept(const CalibrationRow& r) { return std::holds_alternative<Gemm>(r.shape) && r.method == "sustained"; }

/// GEMMs swept over SM counts, our own and DeepGEMM's.
std::vector<CalibrationRow> swept_rows(const Machine& m) {
  std::vector<CalibrationRow> rows = load_calibration_file((fs::path(m.calibration) / "gemm.csv").string());
  const Measured own = load_measured(validate_folder("measured/h100"), kH100);
  rows.insert(rows.end(), own.rows.begin(), own.rows.end());
  std::erase_if(rows,
                [](const CalibrationRow& r) { return !swept(r) || (r.impl != "DeepGEMM" && r.impl != "railcast"); });
  return rows;
}

const std::string kBeside = "kernels: GEMMs beside a copy, at SM counts that no fit row has";
const std::string kBesideSeen = "kernels: GEMMs beside a copy, at SM counts of the fit";
const std::string kBesideLone = "kernels: GEMMs beside a copy of lone CTAs";

/// A GEMM beside a copy takes its time alone, forecast at an SM count that no fit row has, by what both draw of HBM and
/// power: the model's contention (model/cost.hpp, kPowerPerHbm). It knows of no clusters.
Cases beside_copies(const Machine& m, const Fit& f, const HeldOut& held, const std::string& path) {
  Cases cases;
  for (const PairRow& p : load_pairs(path)) {
    const bool unseen = std::ranges::any_of(held.rows(), [&](const CalibrationRow& r) { return r.sms == p.gemm_sms; });
    const FittedFamily* const family = f.find(fit_family(p.gemm), p.impl, "sustained");
    if (family == nullptr) continue;
    const Estimated e = estimate(*family, m, {p.gemm, p.gemm_sms});
    Cost alone;
    alone.work = Time::seconds(e.us * 1e-6);
    set_draws(m, p.gemm, alone);
    const double copy = p.copy_alone_gb_s * 1e9 / memory_rate(m, m.sms).per_second();
    const double slower =
        std::max({1.0, alone.drawn(Draw::hbm) + copy, alone.drawn(Draw::power) + kPowerPerHbm * copy});
    Case c{p.copy_cluster == 1 ? kBesideLone
           : unseen            ? kBeside
                               : kBesideSeen,
           describe(p.gemm) + " of " + p.impl + " on " + std::to_string(p.gemm_sms) + " SMs beside a copy on " +
               std::to_string(p.copy_sms) + (p.copy_cluster == 1 ? ", lone CTAs" : ""),
           path, "us", "time"};
    c.forecast = e.us * slower, c.low = c.forecast * std::exp(-e.spread), c.high = c.forecast * std::exp(e.spread);
    c.truth = p.together_us;
    c.fitted = !unseen && p.impl == "DeepGEMM";  // kPowerPerHbm rests on these pairs
    if (p.copy_cluster == 1) c.note = "not modelled: lone CTAs take SMs that the GEMM's clusters need in pairs";
    cases.push_back(c);
  }
  return cases;
}

Shape shape_named(const JsonObject& o, const std::string& stem, const std::vector<std::int64_t>& z) {
  constexpr Dtype d = Dtype::fp8_block;
  if (stem == "gemm" && z.size() == 3) return Gemm{z[0], z[1], z[2], d};
  if (stem == "wgrad" && z.size() == 3) return Wgrad{z[0], z[1], z[2], d};
  if (stem == "grouped_gemm_contiguous" && z.size() == 4) return GroupedGemm{z[0], z[1], z[2], z[3], d};
  if (stem == "grouped_gemm_masked" && z.size() == 4) return GroupedGemmMasked{z[0], z[1], z[2], z[3], d};
  if (stem == "wgrad_grouped" && z.size() == 4) return WgradGrouped{z[0], z[1], z[2], z[3], d};
  o.refuse("shape", "expected a GEMM's stem and its sizes");
}

/// DeepGEMM's published tables, by a fit of the calibration's rows of it.
Cases deepgemm_tables(const Machine& m) {
  const std::string path = validate_folder("published") + "/deepgemm.json";
  const Fit f = fit(Split::by_shape(load_calibration(m.calibration), 0).fit, m);
  const auto json = read_json(path);
  JsonObject file(json, path);
  file.text("source");
  Cases cases;
  for (JsonObject& o : file.objects("cases")) {
    const std::string stem = o.text("shape");
    const Shape shape = shape_named(o, stem, o.integers("sizes", 1));
    o.text("dtype"), o.text("kind");
    Case c{"kernels: DeepGEMM's published tables", o.text("id"), o.text("source"), "us", "time"};
    c.note = "an earlier version of the kernel";
    const bool rate = o.one_of("metric", {"time", "rate"}) == "rate";
    const double value = o.quantity("value", rate ? Dimension::flop_rate : Dimension::time);
    c.truth = 1e6 * (rate ? flops(shape) / value : value);
    c.fitted = o.boolean("fitted");
    const FittedFamily* const family = f.find(fit_family(shape), o.text("impl"), o.text("method"));
    o.finish();
    if (family == nullptr) continue;
    const Estimated e = estimate(*family, m, {shape, m.sms});
    c.forecast = e.us, c.low = e.us * std::exp(-e.spread), c.high = e.us * std::exp(e.spread);
    cases.push_back(c);
  }
  return cases;
}

bool is_count(const std::string& metric) {
  return metric.starts_with("parameters") || metric.starts_with("flops") || metric.starts_with("kv_");
}

std::vector<std::string> scenario_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(fs::path(scenarios_folder()) / folder))
    if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  std::ranges::sort(files);
  return files;
}

std::string unit_of(const std::string& metric) {
  if (metric.ends_with("gb_per_s")) return "GB/s";
  if (metric.ends_with("_s") && !metric.ends_with("per_s")) return "s";
  if (metric.starts_with("mfu")) return "share";
  return metric.find("bytes") != std::string::npos && !metric.ends_with("per_token") ? "B" : "";
}

/// A guard states its own forecast: its bound is checked, but it is no measurement.
bool is_guard(const std::string& source) { return source.find("no measurement") != std::string::npos; }
bool in_fit_set(const std::string& source) { return source.find("in the fit set") != std::string::npos; }

/// The "expect" block of any scenario, by the verb's own JSON.
Cases expected(const std::string& suite, const std::string& path) {
  const auto result = parse_json(result_json(path, {}), path);
  Cases cases;
  if (!result.contains("expect")) return cases;
  for (const auto& e : result.at("expect")) {
    Case c{suite, fs::path(path).stem().string() + "/" + e.at("metric").get<std::string>(),
           e.at("source").get<std::string>(), "", e.at("metric").get<std::string>()};
    c.unit = unit_of(c.metric);
    c.forecast = c.low = c.high = e.at("forecast").get<double>(), c.truth = e.at("published").get<double>();
    if (e.at("within").is_number()) c.within = e.at("within").get<double>();
    c.fitted = is_guard(c.source) || in_fit_set(c.source);
    cases.push_back(c);
  }
  return cases;
}

Cases exchanges() {
  Cases cases;
  std::map<std::string, Machine> machines;
  for (const PublishedExchange& p : load_published_exchanges(validate_folder("published") + "/deepep.json")) {
    auto [at, fresh] = machines.try_emplace(p.machine);
    if (fresh) at->second = load_machine(p.machine, scenarios_folder());
    Case c{"network: dispatch and combine", p.id, p.source, "us", "time"};
    c.forecast = c.low = c.high = 1e6 * predicted_seconds(at->second, at->second.exchange, p);
    c.truth = 1e6 * published_seconds(p, at->second.gpus_per_node), c.fitted = p.for_fit;
    cases.push_back(c);
  }
  return cases;
}

/// Rows of our own dispatch and combine; those that the constants were fitted to are marked.
Cases own_exchanges(const Machine& m) {
  Cases cases;
  for (const OwnRow& r : load_own_rows(validate_folder("measured"))) {
    Case c{"network: our own dispatch and combine", describe(r), r.where, "us", "time"};
    c.forecast = c.low = c.high = 1e6 * own_exchange(m, m.own_exchange, r.exchange).total.seconds();
    c.truth = r.us, c.fitted = !held_out(r);
    cases.push_back(c);
  }
  return cases;
}

Cases nccl_held_out(const Machine& m) {
  const Split split =
      Split::by_shape(load_measured(validate_folder("published") + "/nccl_h100.csv", kH100).rows, kHeldOut);
  std::vector<CalibrationRow> large = split.held_out.rows();
  std::erase_if(large, [](const CalibrationRow& r) { return message_bytes(r.shape) < 1 << 20; });
  return compare_rows(fit(split.fit, m), m, large, "network: NCCL in a node, over 1 MB");
}

/// The published figures of scenarios that are no bound of theirs.
Cases more_figures(const std::string& path, const std::map<std::string, std::pair<Scenario, Forecast>>& made) {
  const auto json = read_json(path);
  JsonObject file(json, path);
  file.text("source");
  Cases cases;
  for (JsonObject& o : file.objects("cases")) {
    const std::string scenario = (fs::path(scenarios_folder()) / o.text("scenario")).string();
    const auto found = made.find(scenario);
    if (found == made.end()) o.refuse("scenario", "is none of scenarios/train");
    Expectation e;
    e.metric = o.text("metric"), e.source = o.text("source"), e.within = INFINITY;
    e.value = unit_of(e.metric) == "s" ? o.quantity("value", Dimension::time) : o.number("value");
    Case c = step_case(found->second.first, found->second.second, e);
    c.id = o.text("id"), c.note = o.text("note"), c.fitted = o.boolean("fitted");
    if (o.one_of("kind", {"published", "recalled"}) == "recalled") c.suite = "training: phases, recalled";
    o.finish();
    cases.push_back(c);
  }
  return cases;
}

}  // namespace

std::string portable(std::string text) {
  const std::string root = fs::path(scenarios_folder()).parent_path().string() + "/";
  for (auto at = text.find(root); at != std::string::npos; at = text.find(root)) text.erase(at, root.size());
  return text;
}

std::string validate_folder(const std::string& folder) {
  return (fs::path(scenarios_folder()).parent_path() / "validate" / folder).string();
}

Case step_case(const Scenario& s, const Forecast& f, const Expectation& e) {
  Scenario only = s;
  only.expect = {e};
  const Outcome o = outcomes(only, f.metrics).front();
  Case c{is_count(e.metric) ? "training: counts" : "training", fs::path(s.path).stem().string() + "/" + e.metric,
         e.source, unit_of(e.metric), e.metric};
  c.forecast = c.low = c.high = o.forecast, c.truth = e.value;
  c.within = std::isfinite(e.within) ? std::max(e.within, 1e-9) : 0;
  c.fitted = is_guard(e.source);
  const double shorter = f.metrics.step_low_s / f.metrics.step_time_s,
               longer = f.metrics.step_high_s / f.metrics.step_time_s;
  if (e.metric == "step_time_s" || e.metric.starts_with("gpu_hours"))
    c.low = c.forecast * shorter, c.high = c.forecast * longer;
  if (e.metric.starts_with("tokens_per") || e.metric.starts_with("mfu") || e.metric.starts_with("tflops"))
    c.low = c.forecast / longer, c.high = c.forecast / shorter;
  return c;
}

std::vector<Case> kernel_cases() {
  const Machine m = h100();
  Cases all = measured_cases(m);
  append(all, held_out("kernels: 400 of 800 timings of another H100", validate_folder("published") + "/gemm_h100.csv",
                       m, 0.5));
  const Split by_sms = Split::by_sms(swept_rows(m), 0.5, m.sms);
  const Fit f = fit(by_sms.fit, m);
  append(all, compare_rows(f, m, by_sms.held_out.rows(), "kernels: GEMMs at SM counts that no fit row has"));
  append(all, beside_copies(m, f, by_sms.held_out, (fs::path(m.calibration) / "gemm_beside_copy.csv").string()));
  append(all, beside_copies(m, f, by_sms.held_out, validate_folder("measured/h100") + "/gemm_beside_copy.csv"));
  append(all, deepgemm_tables(m));
  for (const std::string& path : scenario_files("layer")) append(all, expected("kernels: a MoE layer", path));
  for (Case& c : all) c.source = portable(c.source);
  return all;
}

std::vector<Case> network_cases() {
  Cases all = exchanges();
  append(all, own_exchanges(h100()));
  append(all, nccl_held_out(h100()));
  for (const std::string& path : scenario_files("network")) append(all, expected("network: scenarios", path));
  for (Case& c : all) c.source = portable(c.source);
  return all;
}

std::vector<Case> training_cases() {
  Cases all;
  std::map<std::string, std::pair<Scenario, Forecast>> made;
  for (const std::string& path : scenario_files("train")) {
    const Scenario s = load_scenario(path);
    Forecast f = forecast(s);
    const bool timed =
        std::ranges::any_of(s.expect, [](const Expectation& e) { return !is_count(e.metric) && !is_guard(e.source); });
    if (timed) add_interval(f);
    for (const Expectation& e : s.expect) all.push_back(step_case(s, f, e));
    made.emplace(path, std::pair{s, std::move(f)});
  }
  append(all, more_figures(validate_folder("published") + "/training.json", made));
  return all;
}

bool Bound::broken_by(const Summary& s) const {
  return s.median_error > median_error || (p90_error > 0 && s.p90_error > p90_error) ||
         (bias > 0 && std::abs(s.bias) > bias) || s.coverage < least_coverage ||
         (most_coverage > 0 && s.coverage > most_coverage);
}

std::vector<Bound> stated_bounds() {
  const std::string path = validate_folder("published") + "/bounds.json";
  const auto json = read_json(path);
  JsonObject file(json, path);
  file.text("source");
  std::vector<Bound> bounds;
  for (JsonObject& o : file.objects("bounds")) {
    Bound b{o.text("suite"), o.quantity("median_error", Dimension::fraction), 0};
    if (o.has("p90_error")) b.p90_error = o.quantity("p90_error", Dimension::fraction);
    if (o.has("bias")) b.bias = o.quantity("bias", Dimension::fraction);
    if (o.has("coverage")) {
      const std::vector<std::string> ends = o.texts("coverage");
      if (ends.size() != 2) o.refuse("coverage", "expected the least and the most");
      b.least_coverage = parse_quantity(ends[0], Dimension::fraction);
      b.most_coverage = parse_quantity(ends[1], Dimension::fraction);
    }
    o.finish();
    bounds.push_back(b);
  }
  return bounds;
}

}  // namespace railcast
