// railcast compare: what got faster or slower between two sets of measured rows.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/measured.hpp"
#include "cli/quantity.hpp"
#include "cli/shape_cells.hpp"
#include "cli/verbs.hpp"
#include "model/scenario.hpp"
#include "reports/format.hpp"
#include "reports/table.hpp"
#include "validate/pairs.hpp"

namespace railcast {
namespace {

using nlohmann::ordered_json;

/// "m>=1024": of a shape's fields.
struct Condition {
  std::string field, relation;
  std::int64_t value = 0;

  bool holds(std::int64_t v) const { return relation == "=" ? v == value : relation == ">=" ? v >= value : v <= value; }
};

/// A shape's fields that are numbers; none of a collective.
std::vector<std::pair<std::string, std::int64_t>> numbers_of(const Shape& shape) {
  std::vector<std::pair<std::string, std::int64_t>> numbers;
  std::visit(
      [&](auto s) {
        if constexpr (requires { fields(s, [](const char*, auto&) {}); })
          fields(s, [&](const char* name, auto& v) {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::int64_t>) numbers.emplace_back(name, v);
          });
      },
      shape);
  return numbers;
}

Condition condition_of(const std::string& text) {
  const auto at = text.find_first_of("<>=");
  const std::string rest = at == std::string::npos ? "" : text.substr(at);
  const std::string relation = rest.starts_with(">=") || rest.starts_with("<=") ? rest.substr(0, 2) : "=";
  Condition c{text.substr(0, at), relation};
  const std::string value = rest.substr(std::min(rest.size(), relation.size()));
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), c.value);
  if (!rest.starts_with(relation) || c.field.empty() || error != std::errc() || end != value.data() + value.size())
    throw BadInput("--where " + text, "", "expected FIELD=N, FIELD>=N or FIELD<=N such as m>=1024");
  std::set<std::string> known;
  for (const Shape& s : blank_shapes())
    for (const auto& [name, v] : numbers_of(s)) known.insert(name);
  const std::vector<std::string> names(known.begin(), known.end());
  if (!known.contains(c.field))
    throw BadInput("--where " + text, "", "no shape has a field " + c.field + did_you_mean(c.field, names));
  return c;
}

/// Rows whose shape has the fields and meets the conditions.
std::vector<CalibrationRow> chosen(const std::string& path, const std::string& device,
                                   const std::vector<Condition>& where) {
  std::vector<CalibrationRow> rows = load_measured(path, {device, 132, "DeepGEMM", "fp8_block"}).rows;
  for (const Condition& c : where)
    std::erase_if(rows, [&](const CalibrationRow& r) {
      return std::ranges::none_of(numbers_of(r.shape),
                                  [&](const auto& f) { return f.first == c.field && c.holds(f.second); });
    });
  return rows;
}

std::vector<std::string> impls_of(const std::vector<CalibrationRow>& rows) {
  std::set<std::string> impls;
  for (const CalibrationRow& r : rows) impls.insert(r.impl);
  return {impls.begin(), impls.end()};
}

/// "4096x2112x7168 fp8_block, 132 SMs"
std::string named(const Pair& p) {
  const std::string all = describe(p.after.shape), kernel = std::string(stem(p.after.shape)) + " ";
  return (all.starts_with(kernel) ? all.substr(kernel.size()) : all) + ", " + std::to_string(p.after.sms) + " SMs";
}

ordered_json pair_json(const Pair& p) {
  return {{"shape", describe(p.after.shape)},
          {"sms", p.after.sms},
          {"before_us", p.before.us},
          {"after_us", p.after.us},
          {"speed", p.speed},
          {"before", p.before.where},
          {"after", p.after.where},
          {"impl_before", p.before.impl},
          {"impl_after", p.after.impl}};
}

std::string compare_json(const Pairing& p) {
  ordered_json groups = ordered_json::array();
  for (const PairGroup& g : p.groups) {
    ordered_json pairs = ordered_json::array();
    for (const Pair& pair : g.pairs) pairs.push_back(pair_json(pair));
    groups.push_back(
        {{"kernel", g.kernel}, {"method", g.method}, {"speed_geomean", g.geomean}, {"pairs", std::move(pairs)}});
  }
  return ordered_json{{"groups", std::move(groups)},
                      {"unpaired_before", p.unpaired_before},
                      {"unpaired_after", p.unpaired_after}}
             .dump(2) +
         "\n";
}

std::string compare_text(const Pairing& p, const CompareOptions& o) {
  Table t("llrrrlrl");
  t.row({"kernel", "method", "pairs", "geomean", "lowest", "of", "highest", "of"});
  for (const PairGroup& g : p.groups) {
    const Pair &low = g.pairs.front(), &high = g.pairs.back();
    t.row({g.kernel, g.method, std::to_string(g.pairs.size()), significant(g.geomean, 4), significant(low.speed, 4),
           named(low), significant(high.speed, 4), named(high)});
    if (!o.rows) continue;
    for (const Pair& pair : g.pairs)
      t.row({"", "", "", "", significant(pair.speed, 4),
             named(pair) + ": " + duration_text(pair.before.us * 1e-6) + " -> " + duration_text(pair.after.us * 1e-6)});
  }
  const auto side = [](const std::string& path, const std::string& impl) {
    return impl.empty() ? path : impl + " (" + path + ")";
  };
  return "speed of " + side(o.after, o.impl) + " over " + side(o.before, o.base_impl) + "; 1.03 is 3 % faster\n\n" +
         t.text() + "\nwithout a partner: " + std::to_string(p.unpaired_before) + " rows of the first, " +
         std::to_string(p.unpaired_after) + " of the second\n";
}

/// Pairs slower than is allowed, a line each.
std::vector<std::string> regressions(const Pairing& p, double allowed) {
  std::vector<std::string> lines;
  for (const PairGroup& g : p.groups)
    for (const Pair& pair : g.pairs)
      if (1 / pair.speed - 1 > allowed)
        lines.push_back(g.kernel + " " + named(pair) + ", " + g.method + ": " + percent_text(1 / pair.speed - 1) +
                        " slower (" + pair.after.where + ")");
  return lines;
}

double allowed_of(const std::string& text) try {
  return text.empty() ? 0 : parse_quantity(text, Dimension::fraction);
} catch (const std::invalid_argument& e) {
  throw BadInput("--allow " + text, "", e.what());
}

}  // namespace

int compare(const CompareOptions& o) {
  const double allowed = allowed_of(o.allow);
  std::vector<Condition> where;
  for (const std::string& text : o.where) where.push_back(condition_of(text));
  const auto before = chosen(o.before, o.device, where), after = chosen(o.after, o.device, where);
  const Pairing p = pair_rows(before, after, o.base_impl.empty() ? o.impl : o.base_impl, o.impl);
  if (p.groups.empty())
    throw BadInput(o.after, "",
                   "no row has a partner of the same shape, SMs and method in " + o.before +
                       "; impls here: " + listed(impls_of(after)) + "; there: " + listed(impls_of(before)));
  if (!write_json(o.json, compare_json(p))) std::cout << compare_text(p, o);
  if (o.allow.empty()) return kForecast;
  const auto lines = regressions(p, allowed);
  for (const std::string& line : lines) std::cerr << "railcast: " << line << "\n";
  return lines.empty() ? kForecast : kFailed;
}

}  // namespace railcast
