#include "cli/load_calibration.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

#include "cli/json.hpp"

namespace railcast {
namespace {

namespace fs = std::filesystem;

// The fields of a Shape in its struct's order. The dtype of a shape that has none is `fixed`.
// clang-format off
template <class F> Dtype fields(Gemm& s, F f) { f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {}; }
template <class S, class F> Dtype grouped_fields(S& s, F f) {
  f("groups", s.groups); f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {};
}
template <class F> Dtype fields(GroupedGemm& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(GroupedGemmMasked& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(WgradGrouped& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(Wgrad& s, F f) { f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {}; }
template <class F> Dtype fields(Attention& s, F f) {
  f("batch", s.batch); f("q_len", s.q_len); f("kv_len", s.kv_len); f("heads", s.heads); f("kv_heads", s.kv_heads);
  f("d_qk", s.d_qk); f("d_v", s.d_v); f("causal", s.causal); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(Quantize& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("transpose", s.transpose); f("dtype", s.from); return {};
}
template <class F> Dtype fields(SwiGlu& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("backward", s.backward); f("quantize", s.quantize); return Dtype::bf16;
}
template <class F> Dtype fields(RmsNorm& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(Rope& s, F f) { f("rows", s.rows); f("cols", s.cols); return Dtype::bf16; }
template <class F> Dtype fields(Gate& s, F f) {
  f("tokens", s.tokens); f("experts", s.experts); f("groups", s.groups); f("top_k", s.top_k);
  f("backward", s.backward); return Dtype::fp32;
}
template <class F> Dtype fields(Permute& s, F f) {
  f("tokens", s.tokens); f("rows", s.rows); f("cols", s.cols); f("dtype", s.dtype); return {};
}
template <class F> Dtype fields(Unpermute& s, F f) {
  f("tokens", s.tokens); f("rows", s.rows); f("cols", s.cols); return Dtype::bf16;
}
template <class F> Dtype fields(Add& s, F f) { f("rows", s.rows); f("cols", s.cols); return Dtype::bf16; }
template <class F> Dtype fields(Embedding& s, F f) {
  f("tokens", s.tokens); f("hidden", s.hidden); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(CrossEntropy& s, F f) { f("tokens", s.tokens); f("vocab", s.vocab); return Dtype::bf16; }
template <class F> Dtype fields(AdamW& s, F f) { f("parameters", s.parameters); return Dtype::fp32; }
// clang-format on

/// A copy of rows: no Shape, but its table has the same columns.
struct Copy {
  std::int64_t rows = 0, cols = 0;
  Dtype dtype = Dtype::bf16;
};
template <class F>
Dtype fields(Copy& s, F f) {
  f("rows", s.rows);
  f("cols", s.cols);
  f("dtype", s.dtype);
  return {};
}

// Collectives have no tables yet: their rates are machine.json's.
const std::vector<Shape>& blank_shapes() {
  static const std::vector<Shape> shapes{
      Gemm{},      GroupedGemm{}, GroupedGemmMasked{}, Wgrad{},        WgradGrouped{}, Attention{},
      Quantize{},  SwiGlu{},      RmsNorm{},           Rope{},         Gate{},         Permute{},
      Unpermute{}, Add{},         Embedding{},         CrossEntropy{}, AdamW{}};
  return shapes;
}

using Cells = std::map<std::string, std::string>;

/// A CSV file being read: its header's facts and, line by line, cells by column name.
class Table {
 public:
  explicit Table(const std::string& path) : path_(path), text_(read_text(path)) {
    while (next_line() && line_.starts_with("#")) read_comment();
    for (const char* key : {"device", "driver", "source", "date", "provenance"}) {
      if (!facts_.contains(key)) refuse(std::string("the header has no \"# ") + key + ": ...\" line; add it");
    }
    columns_ = split();
  }
  void expect_columns(const std::vector<std::string>& wanted) const {
    if (columns_ != wanted) refuse("expected the columns " + listed(wanted) + "; found " + listed(columns_));
  }
  bool next(Cells& cells) {
    if (!next_line()) return false;
    const auto values = split();
    if (values.size() != columns_.size()) {
      refuse("expected " + std::to_string(columns_.size()) + " cells, found " + std::to_string(values.size()) +
             "; is the file truncated?");
    }
    for (std::size_t i = 0; i < values.size(); ++i) cells[columns_[i]] = values[i];
    return true;
  }
  std::string where() const { return path_ + ":" + std::to_string(number_); }
  const std::string& fact(const std::string& key) const { return facts_.at(key); }
  [[noreturn]] void refuse(const std::string& what) const { throw BadInput(where(), "", what); }

 private:
  bool next_line() {
    if (at_ >= text_.size()) return false;
    const std::size_t end = text_.find('\n', at_);
    ++number_;
    if (end == std::string::npos) refuse("the last line has no end; is the file truncated?");
    line_ = text_.substr(at_, end - at_);
    if (line_.ends_with('\r')) line_.pop_back();
    at_ = end + 1;
    return true;
  }
  void read_comment() {
    const std::size_t colon = line_.find(": ");
    if (colon == std::string::npos) return;
    facts_.emplace(line_.substr(2, colon - 2), line_.substr(colon + 2));
  }
  std::vector<std::string> split() const {
    std::vector<std::string> cells(1);
    for (const char c : line_) {
      if (c == ',') {
        cells.emplace_back();
      } else {
        cells.back() += c;
      }
    }
    return cells;
  }
  std::string path_, text_, line_;
  std::size_t at_ = 0, number_ = 0;
  std::map<std::string, std::string> facts_;
  std::vector<std::string> columns_;
};

template <class T>
T parsed(const Table& t, const Cells& cells, const std::string& column) {
  const std::string& text = cells.at(column);
  T value{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || rest != text.data() + text.size()) {
    t.refuse("the cell \"" + text + "\" of column " + column + " is not a number");
  }
  return value;
}

std::int64_t count(const Table& t, const Cells& cells, const std::string& column, std::int64_t least = 1) {
  const auto v = parsed<std::int64_t>(t, cells, column);
  if (v < least)
    t.refuse("column " + column + " is " + std::to_string(v) + "; expected at least " + std::to_string(least));
  return v;
}

double positive(const Table& t, const Cells& cells, const std::string& column) {
  const auto v = parsed<double>(t, cells, column);
  if (!std::isfinite(v) || v <= 0) t.refuse("column " + column + " is " + cells.at(column) + "; expected more than 0");
  return v;
}

std::string one_of(const Table& t, const Cells& cells, const std::string& column,
                   const std::vector<std::string>& allowed) {
  const std::string& v = cells.at(column);
  if (std::find(allowed.begin(), allowed.end(), v) != allowed.end()) return v;
  t.refuse("column " + column + " is \"" + v + "\"; expected one of " + listed(allowed) + did_you_mean(v, allowed));
}

Dtype dtype_cell(const Table& t, const Cells& cells, const std::vector<Dtype>& allowed) {
  std::vector<std::string> names;
  for (const Dtype d : allowed) names.emplace_back(name(d));
  const std::string v = one_of(t, cells, "dtype", names);
  return allowed[static_cast<std::size_t>(std::find(names.begin(), names.end(), v) - names.begin())];
}

const std::vector<Dtype> kDtypes{Dtype::bf16, Dtype::fp8_block, Dtype::fp8_tensor, Dtype::fp32};

/// Sets one field from its cell.
struct FromCell {
  const Table& table;
  const Cells& cells;
  void operator()(const char* column, std::int64_t& v) const { v = count(table, cells, column); }
  void operator()(const char* column, bool& v) const { v = one_of(table, cells, column, {"0", "1"}) == "1"; }
  void operator()(const char* /*column*/, Dtype& v) const { v = dtype_cell(table, cells, kDtypes); }
};

template <class S>
std::vector<std::string> columns_of(S blank) {
  std::vector<std::string> columns;
  fields(blank, [&](const char* column, auto&) { columns.emplace_back(column); });
  if (columns.back() != "dtype") columns.emplace_back("dtype");
  for (const char* c : {"sms", "method", "impl", "us"}) columns.emplace_back(c);
  return columns;
}

template <class S>
S shape_of(const Table& t, const Cells& cells, S s) {
  bool has_dtype = false;
  fields(s, [&](const char* column, auto&) { has_dtype |= std::string(column) == "dtype"; });
  const Dtype fixed = fields(s, FromCell{t, cells});
  if (!has_dtype) dtype_cell(t, cells, {fixed});
  return s;
}

/// Refuses a second row of the same key (all cells but the last).
class Keys {
 public:
  void add(const Table& t, Cells cells, const std::string& value_column) {
    cells.erase(value_column);
    if (!seen_.insert(cells).second) t.refuse("this key stands twice; keep one row");
  }

 private:
  std::set<Cells> seen_;
};

template <class S>
std::vector<CalibrationRow> read_rows(Table& t, const S& blank) {
  t.expect_columns(columns_of(blank));
  std::vector<CalibrationRow> rows;
  Keys keys;
  for (Cells cells; t.next(cells);) {
    keys.add(t, cells, "us");
    CalibrationRow row{shape_of(t, cells, blank), count(t, cells, "sms"), "", cells.at("impl"), 0, ""};
    row.method = one_of(t, cells, "method", {"cool", "sustained"});
    row.us = positive(t, cells, "us");
    row.where = t.where() + " (" + t.fact("device") + ", " + t.fact("date") + ")";
    rows.push_back(std::move(row));
  }
  return rows;
}

const Shape* blank_shape(const std::string& of_stem) {
  const auto& all = blank_shapes();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Shape& s) { return of_stem == stem(s); });
  return found == all.end() ? nullptr : &*found;
}

constexpr const char* kOtherTables[] = {"copy", "launch", "gemm_beside_copy", "steady"};

}  // namespace

std::vector<std::string> calibration_stems() {
  std::vector<std::string> stems;
  for (const Shape& s : blank_shapes()) stems.emplace_back(stem(s));
  return stems;
}

bool is_calibration_stem(const std::string& of_stem) { return blank_shape(of_stem) != nullptr; }

std::vector<CalibrationRow> load_calibration_file(const std::string& path) {
  const std::string of_stem = fs::path(path).stem().string();
  const Shape* const blank = blank_shape(of_stem);
  if (blank == nullptr) {
    throw BadInput(path, "", "\"" + of_stem + "\" is no shape" + did_you_mean(of_stem, calibration_stems()));
  }
  Table t(path);
  return std::visit(
      [&](const auto& s) -> std::vector<CalibrationRow> {
        if constexpr (requires(std::decay_t<decltype(s)> x) { fields(x, FromCell{t, {}}); }) return read_rows(t, s);
        return {};
      },
      *blank);
}

std::vector<CalibrationRow> load_calibration(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string of_stem = entry.path().stem().string();
    if (entry.path().extension() != ".csv") continue;
    if (std::find(std::begin(kOtherTables), std::end(kOtherTables), of_stem) != std::end(kOtherTables)) continue;
    paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<CalibrationRow> rows;
  for (const auto& path : paths) {
    for (auto& row : load_calibration_file(path)) rows.push_back(std::move(row));
  }
  return rows;
}

std::map<std::int64_t, ByteRate> load_copy_rate(const std::string& path) {
  std::map<std::int64_t, ByteRate> rates;
  if (!fs::exists(path)) return rates;
  Table t(path);
  t.expect_columns(columns_of(Copy{}));
  Keys keys;
  for (Cells cells; t.next(cells);) {
    keys.add(t, cells, "us");
    const Copy c = shape_of(t, cells, Copy{});
    const double bytes = 2.0 * static_cast<double>(c.rows) * static_cast<double>(c.cols) * bytes_per_element(c.dtype);
    ByteRate& best = rates[count(t, cells, "sms")];
    best = std::max(best, ByteRate(bytes / (positive(t, cells, "us") * 1e-6)));
  }
  return rates;
}

double load_steady_ratio(const std::string& path) {
  if (!fs::exists(path)) return 1;
  Table t(path);
  t.expect_columns({"m", "n", "k", "dtype", "impl", "sustained_us", "steady_us"});
  double log_ratio = 0, rows = 0;
  for (Cells c; t.next(c); ++rows) log_ratio += std::log(positive(t, c, "steady_us") / positive(t, c, "sustained_us"));
  return rows > 0 ? std::exp(log_ratio / rows) : 1;
}

std::vector<PairRow> load_pairs(const std::string& path) {
  Table t(path);
  t.expect_columns({"groups", "m", "n", "k", "gemm_sms", "copy_sms", "gemm_alone_us", "gemm_together_us",
                    "copy_alone_gb_per_s", "copy_together_gb_per_s"});
  std::vector<PairRow> rows;
  for (Cells c; t.next(c);) {
    PairRow r;
    const GroupedGemm g{count(t, c, "groups"), count(t, c, "m"), count(t, c, "n"), count(t, c, "k"), Dtype::fp8_block};
    r.gemm = g.groups == 1 ? Shape(Gemm{g.m, g.n, g.k, g.dtype}) : Shape(g);
    r.gemm_sms = count(t, c, "gemm_sms");
    r.copy_sms = count(t, c, "copy_sms");
    r.alone_us = positive(t, c, "gemm_alone_us");
    r.together_us = positive(t, c, "gemm_together_us");
    r.copy_alone_gb_s = positive(t, c, "copy_alone_gb_per_s");
    r.copy_together_gb_s = positive(t, c, "copy_together_gb_per_s");
    rows.push_back(r);
  }
  return rows;
}

}  // namespace railcast
