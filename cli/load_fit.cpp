#include "cli/load_fit.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/json.hpp"

namespace railcast {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kForms{Form::tiles, Form::work, Form::messages};
constexpr std::array kChoices{TileChoice::fewest_waves, TileChoice::fullest_wave, TileChoice::least_time,
                              TileChoice::own_rule};

template <class Enum, std::size_t N>
std::vector<std::string> names_of(const std::array<Enum, N>& all) {
  std::vector<std::string> names;
  for (const Enum e : all) names.emplace_back(name(e));
  return names;
}

Json smooth_json(const Smooth& s) {
  Json terms = Json::array();
  for (const Likeness& t : s.terms)
    terms.push_back({{"amplitude", t.amplitude}, {"power", t.power}, {"scales", t.scales}});
  return {{"mean", s.mean}, {"terms", std::move(terms)}, {"weights", s.weights}};
}

Json family_json(const FittedFamily& f) {
  Json smooths = Json::array(), bands = Json::array();
  for (const Smooth& s : f.smooths) smooths.push_back(smooth_json(s));
  for (const Band& b : f.bands) bands.push_back({{"novelty", b.novelty}, {"spread", b.spread}});
  return {{"family", f.family},
          {"impl", f.impl},
          {"method", f.method},
          {"form", name(f.form)},
          {"choice", name(f.choice)},
          {"rows", f.rows},
          {"cross_validated", {{"median_error", f.median_error}, {"p90_error", f.p90_error}}},
          {"words", f.words},
          {"covers", f.covers},
          {"prices", f.prices},
          {"bands", std::move(bands)},
          {"anchors", f.anchors},
          {"names", f.names},
          {"rests", f.rests},
          {"smooths", std::move(smooths)}};
}

std::vector<double> numbers(JsonObject& o, const std::string& key) {
  const auto& list = o.raw(key);
  if (!list.is_array()) o.refuse(key, "expected a list of numbers");
  std::vector<double> out;
  for (const auto& v : list) {
    if (!v.is_number()) o.refuse(key, "expected a list of numbers");
    out.push_back(v.get<double>());
  }
  return out;
}

Smooth read_smooth(JsonObject o) {
  Smooth s;
  s.mean = o.number("mean");
  for (JsonObject& t : o.objects("terms")) {
    Likeness l;
    l.amplitude = t.number("amplitude"), l.power = t.number("power"), l.scales = numbers(t, "scales");
    t.finish();
    s.terms.push_back(std::move(l));
  }
  s.weights = numbers(o, "weights");
  o.finish();
  return s;
}

void check_sizes(const JsonObject& o, const FittedFamily& f) {
  const std::size_t dimensions = usual_scales(f.form).size();
  for (const Values& a : f.anchors)
    if (a.size() != dimensions)
      o.refuse("anchors", "expected " + std::to_string(dimensions) + " coordinates each; fit again with this version");
  if (f.names.size() != f.anchors.size()) o.refuse("names", "expected a name for each anchor");
  if (f.rests.size() != f.anchors.size()) o.refuse("rests", "expected a number for each anchor");
  for (const Smooth& s : f.smooths) {
    if (s.weights.size() != f.anchors.size()) o.refuse("smooths", "expected a weight for each anchor");
    for (const Likeness& t : s.terms)
      if (t.scales.size() != dimensions) o.refuse("smooths", "expected a scale for each coordinate");
  }
}

FittedFamily read_family(JsonObject o) {
  FittedFamily f;
  f.family = o.text("family"), f.impl = o.text("impl"), f.method = o.one_of("method", {"cool", "sustained"});
  const auto form = o.one_of("form", names_of(kForms)), choice = o.one_of("choice", names_of(kChoices));
  f.form = *std::ranges::find_if(kForms, [&](Form x) { return form == name(x); });
  f.choice = *std::ranges::find_if(kChoices, [&](TileChoice x) { return choice == name(x); });
  f.rows = o.integer("rows", 1);
  JsonObject cross = o.object("cross_validated");
  f.median_error = cross.number("median_error"), f.p90_error = cross.number("p90_error");
  cross.finish();
  f.words = o.texts("words"), f.covers = o.texts("covers"), f.names = o.texts("names");
  f.rests = numbers(o, "rests"), f.prices = numbers(o, "prices");
  for (JsonObject& b : o.objects("bands")) {
    f.bands.push_back({b.number("novelty"), b.number("spread")});
    b.finish();
  }
  const auto& anchors = o.raw("anchors");
  try {
    f.anchors = anchors.get<std::vector<Values>>();
  } catch (const nlohmann::json::exception&) {
    o.refuse("anchors", "expected a list of lists of numbers");
  }
  for (JsonObject& s : o.objects("smooths")) f.smooths.push_back(read_smooth(s));
  check_sizes(o, f);
  o.finish();
  return f;
}

}  // namespace

std::string fit_json(const Fit& f) {
  Json families = Json::array();
  for (const FittedFamily& one : f.families) families.push_back(family_json(one));
  const Json j{{"device", f.device},
               {"source", f.source},
               {"chip",
                {{"sms", f.chip.sms},
                 {"bf16_peak", std::to_string(f.chip.bf16_peak.per_second() * 1e-12) + " TFLOP/s"},
                 {"fp8_peak", std::to_string(f.chip.fp8_peak.per_second() * 1e-12) + " TFLOP/s"},
                 {"hbm", std::to_string(f.chip.hbm.per_second() * 1e-12) + " TB/s"}}},
               {"families", std::move(families)}};
  return j.dump(1) + "\n";
}

Fit load_fit(const std::string& path) {
  const auto json = read_json(path);
  JsonObject o(json, path);
  Fit f;
  f.device = o.text("device"), f.source = o.text("source");
  JsonObject chip = o.object("chip");
  f.chip.sms = chip.integer("sms", 1);
  f.chip.bf16_peak = FlopRate(chip.quantity("bf16_peak", Dimension::flop_rate));
  f.chip.fp8_peak = FlopRate(chip.quantity("fp8_peak", Dimension::flop_rate));
  f.chip.hbm = ByteRate(chip.quantity("hbm", Dimension::byte_rate));
  chip.finish();
  for (JsonObject& family : o.objects("families")) f.families.push_back(read_family(family));
  o.finish();
  return f;
}

}  // namespace railcast
