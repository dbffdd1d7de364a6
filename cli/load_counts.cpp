#include "cli/load_counts.hpp"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "cli/json.hpp"

namespace railcast {
namespace {

using nlohmann::json;

std::string_view trimmed(std::string_view s) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!s.empty() && space(s.front())) s.remove_prefix(1);
  while (!s.empty() && space(s.back())) s.remove_suffix(1);
  return s;
}

// The part before the next `mark`, which is taken off `rest`.
std::string_view cut(std::string_view& rest, char mark) {
  const auto end = rest.find(mark);
  const auto part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

bool is_remark(std::string_view line) {
  return line.empty() || line.front() == '#' || std::isalpha(static_cast<unsigned char>(line.front())) != 0;
}

double cell(std::string_view text, const std::string& where) {
  double x = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x);
  if (error != std::errc() || end != text.data() + text.size())
    throw BadInput(where, "", "\"" + std::string(text.substr(0, 40)) + "\" is no number");
  return x;
}

/// Rows of equal length, [outer x rows x cols], out of nested JSON lists.
class Nested {
 public:
  explicit Nested(const std::string& name) : name_(name) {}

  Array3 read(const json& j, const std::string& pointer) {
    const json& first = list(j, pointer)[0];
    if (!first.is_array()) throw BadInput(name_, pointer + "/0", "expected a list of counts per layer");
    if (first.empty() || !first[0].is_array()) {
      a_.rows = std::ssize(j);
      layer(j, pointer);
    } else {
      a_.outer = std::ssize(j), a_.rows = std::ssize(first);
      for (std::size_t i = 0; i < j.size(); ++i) layer(j[i], pointer + "/" + std::to_string(i));
    }
    return std::move(a_);
  }

 private:
  const json& list(const json& j, const std::string& pointer) const {
    if (!j.is_array() || j.empty()) throw BadInput(name_, pointer, "expected a list that is not empty");
    return j;
  }
  void layer(const json& rows, const std::string& pointer) {
    sized(list(rows, pointer), a_.rows, pointer);
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const std::string at = pointer + "/" + std::to_string(r);
      if (a_.cols == 0) a_.cols = std::ssize(list(rows[r], at));
      sized(list(rows[r], at), a_.cols, at);
      for (std::size_t c = 0; c < rows[r].size(); ++c) {
        if (!rows[r][c].is_number())
          throw BadInput(name_, at + "/" + std::to_string(c),
                         "expected a number, found " + rows[r][c].dump().substr(0, 40));
        a_.value.push_back(rows[r][c].get<double>());
      }
    }
  }
  void sized(const json& j, std::int64_t n, const std::string& pointer) const {
    if (std::ssize(j) != n)
      throw BadInput(name_, pointer,
                     "has " + std::to_string(j.size()) + " entries; those before it have " + std::to_string(n));
  }
  const std::string& name_;
  Array3 a_;
};

std::string place(const Array3& a, std::size_t i) {
  const auto per_window = static_cast<std::size_t>(a.rows * a.cols), cols = static_cast<std::size_t>(a.cols);
  return (a.outer > 1 ? "window " + std::to_string(i / per_window) + ", " : "") + "layer " +
         std::to_string(i % per_window / cols) + ", expert " + std::to_string(i % cols);
}

}  // namespace

Array3 parse_csv(std::string_view text, const std::string& name) {
  Array3 a;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    std::string_view line = trimmed(cut(text, '\n'));
    if (is_remark(line)) continue;
    const std::string where = name + ":" + std::to_string(number);
    const std::size_t before = a.value.size();
    for (bool more = true; more;) {
      more = line.find(',') != std::string_view::npos;
      a.value.push_back(cell(trimmed(cut(line, ',')), where));
    }
    const auto cols = static_cast<std::int64_t>(a.value.size() - before);
    if (a.rows++ == 0) a.cols = cols;
    if (cols != a.cols)
      throw BadInput(where, "",
                     "has " + std::to_string(cols) + " cells; the rows before it have " + std::to_string(a.cols));
  }
  if (a.rows == 0) throw BadInput(name, "", "has no row of counts");
  return a;
}

Array3 parse_json_array(const std::string& text, const std::string& name) {
  const json j = parse_json(text, name);
  Nested reader(name);
  if (!j.is_object()) return reader.read(j, "");
  for (const char* key : {"counts", "weight", "token_ids"})
    if (j.contains(key)) return reader.read(j.at(key), std::string("/") + key);
  throw BadInput(name, "", "expected a list of lists, or an object with \"counts\", \"weight\" or \"token_ids\"");
}

Array3 load_array(const std::string& path, std::size_t most) {
  if (path.ends_with(".npy")) return parse_npy(read_text(path, most), path);
  if (path.ends_with(".csv")) return parse_csv(read_text(path, most), path);
  if (path.ends_with(".json")) return parse_json_array(read_text(path, most), path);
  throw BadInput(path, "", "expected a file that ends in .npy, .csv or .json");
}

std::vector<ExpertCounts> counts_from(const Array3& a, const std::string& name) {
  for (std::size_t i = 0; i < a.value.size(); ++i)
    if (!(a.value[i] >= 0) || !std::isfinite(a.value[i]))
      throw BadInput(name, "", place(a, i) + ": " + std::to_string(a.value[i]) + "; expected a count of tokens");
  std::vector<ExpertCounts> windows;
  for (std::int64_t w = 0; w < a.outer; ++w) {
    const auto first = a.value.begin() + w * a.rows * a.cols;
    windows.push_back({a.rows, a.cols, {first, first + a.rows * a.cols}});
    for (std::int64_t l = 0; l < a.rows; ++l) {
      const auto row = windows.back().row(l);
      const double sum = std::accumulate(row.begin(), row.end(), 0.0);
      if (!(sum > 0) || !std::isfinite(sum))
        throw BadInput(name, "",
                       place(a, static_cast<std::size_t>((w * a.rows + l) * a.cols)) +
                           (sum > 0 ? ": the layer's counts are too large to add" : ": the layer has no token"));
    }
  }
  return windows;
}

std::vector<ExpertCounts> load_counts(const std::string& path) {
  return counts_from(load_array(path, kMaxCountsBytes), path);
}

std::vector<TokenRoutes> routes_from(const Array3& a, std::int64_t experts, const std::string& name) {
  std::vector<TokenRoutes> layers;
  for (std::int64_t l = 0; l < a.outer; ++l) {
    TokenRoutes t{a.rows, a.cols, {}};
    t.expert.reserve(static_cast<std::size_t>(a.rows * a.cols));
    for (std::int64_t i = l * a.rows * a.cols; i < (l + 1) * a.rows * a.cols; ++i) {
      const double id = a.value[static_cast<std::size_t>(i)];
      const std::string at = "layer " + std::to_string(l) + ", token " + std::to_string(i / a.cols % a.rows);
      if (!(id >= 0 && id < static_cast<double>(experts)) || id != std::floor(id))
        throw BadInput(name, "",
                       at + ": " + std::to_string(id) + " is none of the " + std::to_string(experts) + " experts");
      const auto own = t.expert.end() - i % a.cols;
      if (std::find(own, t.expert.end(), static_cast<std::int32_t>(id)) != t.expert.end())
        throw BadInput(name, "", at + ": expert " + std::to_string(std::llround(id)) + " stands twice");
      t.expert.push_back(static_cast<std::int32_t>(id));
    }
    layers.push_back(std::move(t));
  }
  return layers;
}

std::vector<TokenRoutes> load_routes(const std::string& path, std::int64_t experts) {
  return routes_from(load_array(path, kMaxIdsBytes), experts, path);
}

}  // namespace railcast
