#include <cmath>
#include <regex>
#include <sstream>

#include "cli/json.hpp"
#include "cli/measured.hpp"
#include "model/collective.hpp"

namespace railcast {
namespace {

/// A line and where it stands.
struct Line {
  std::string text, where;
};

std::vector<Line> lines_of(const std::string& path) {
  std::vector<Line> lines;
  std::istringstream in(read_text(path));
  for (std::string text; std::getline(in, text);)
    lines.push_back({text, path + ":" + std::to_string(lines.size() + 1)});
  return lines;
}

double number(const std::string& text, const Line& line) {
  try {
    std::size_t used = 0;
    const double v = std::stod(text, &used);
    if (used == text.size() && std::isfinite(v) && v > 0) return v;
  } catch (const std::exception&) {
  }
  throw BadInput(line.where, "", "\"" + text + "\" is no number above 0; is the file damaged?");
}

/// nccl-tests: "# Rank 0 ... [..] NVIDIA H100", then "size count type redop root time algbw busbw #wrong ...", in
/// bytes and microseconds (out of place).
class NcclTests {
 public:
  bool read(const std::vector<Line>& lines, const MeasuredDefaults& d, Measured& out) {
    for (const Line& line : lines) head(line.text);
    if (ranks_ == 0 || program_.empty()) return false;
    agree_on_device(lines.front().where, device_, d, out);
    for (const Line& line : lines) row(line, d, out);
    return true;
  }

 private:
  void head(const std::string& text) {
    static const std::regex rank(R"(#\s+Rank\s+\d+ .*\] (.+))"), program(R"(# Collective test starting: (\S+))"),
        command(R"(.*?(\w+)_perf\b.*)"), version(R"(.*nccl-library=(\d+).*)");
    std::smatch m;
    if (std::regex_match(text, m, rank)) ++ranks_, device_ = m[1];
    if (std::regex_match(text, m, program) || (program_.empty() && std::regex_match(text, m, command))) program_ = m[1];
    if (std::regex_match(text, m, version)) version_ = std::stoi(m[1]);
  }
  void row(const Line& line, const MeasuredDefaults& d, Measured& out) const {
    std::istringstream in(line.text);
    std::vector<std::string> cells;
    for (std::string cell; in >> cell;) cells.push_back(cell);
    if (cells.empty() || cells[0].find_first_not_of("0123456789") != std::string::npos) return;
    if (cells.size() < 8)
      throw BadInput(line.where, "", "a row of nccl-tests has 8 cells or more; is the file truncated?");
    if (cells[0] == "0") return;
    CalibrationRow r;
    const auto bytes = static_cast<std::int64_t>(number(cells[0], line));
    if (!collective_named(program_, bytes, ranks_, r.shape))
      throw BadInput(line.where, "", program_ + " is none of the collectives known here");
    r.us = number(cells[5], line), r.sms = d.sms, r.method = "sustained", r.where = line.where;
    r.impl = "NCCL " + std::to_string(version_ / 10000) + "." + std::to_string(version_ / 100 % 100) + "." +
             std::to_string(version_ % 100) + " " + cells[2];
    out.rows.push_back(std::move(r));
  }
  std::int64_t ranks_ = 0;
  int version_ = 0;
  std::string program_, device_;
};

/// DeepEP's tests: "[config] num_tokens=4096, hidden=7168, num_topk=8", then "[tuning] Best dispatch (FP8): SMs 24, ...
/// 43.1 GB/s (RDMA), ...". Bytes are counted as DeepEP counts them: a token once per node it reaches, its own included,
/// or, within a node, once per GPU; its test draws tokens whose groups are the nodes (top-4 by their best expert).
class DeepEp {
 public:
  bool read(const std::vector<Line>& lines, const MeasuredDefaults& d, Measured& out) {
    bool any = false;
    for (const Line& line : lines) {
      config(line.text);
      any |= best(line, d, out);
    }
    return any;
  }

 private:
  void config(const std::string& text) {
    if (text.find("[config]") == std::string::npos) return;
    const auto take = [&](const char* key, std::int64_t& value) {
      std::smatch m;
      if (std::regex_search(text, m, std::regex(std::string(key) + R"(=(\d+))"))) value = std::stoll(m[1]);
    };
    take("num_tokens", tokens_), take("hidden", hidden_), take("num_topk", top_k_), take("num_experts", experts_);
    take("num_ranks", ranks_);
  }
  bool best(const Line& line, const MeasuredDefaults& d, Measured& out) const {
    static const std::regex form(
        R"(.*Best (dispatch|combine)( \((FP8|BF16)\))?: SMs (\d+),.*?([0-9.]+|nan) GB/s \((RDMA|NVL)\).*)");
    std::smatch m;
    if (!std::regex_match(line.text, m, form)) return false;
    if (tokens_ == 0) throw BadInput(line.where, "", "no \"[config] num_tokens=...\" line before this one");
    if (ranks_ == 0) throw BadInput(line.where, "", "the [config] line has no num_ranks=; add it");
    agree_on_device(line.where, "", d, out);
    const bool dispatch = m[1] == "dispatch", within = m[6] == "NVL";
    const std::int64_t nodes = std::max<std::int64_t>(1, ranks_ / 8);
    const Dtype type = dispatch && m[3] != "BF16" ? Dtype::fp8_block : Dtype::bf16;
    const Dispatch s{tokens_, hidden_, experts_, top_k_, ranks_, nodes, std::min<std::int64_t>(nodes, 4), type};
    const Reach reach = expected_reach(s, 8, GroupScore::best);
    const double bytes = static_cast<double>(tokens_) * row_bytes(hidden_, type) * (within ? reach.gpus : reach.nodes);
    CalibrationRow r;
    r.shape = s;
    if (!dispatch) r.shape = Combine{s.tokens, s.hidden, s.experts, s.top_k, s.ranks, s.groups, s.top_groups, type};
    r.us = bytes / number(m[5], line) * 1e-3, r.sms = std::stoll(m[4]);
    r.method = "sustained", r.impl = "DeepEP", r.where = line.where;
    out.rows.push_back(std::move(r));
    return true;
  }
  std::int64_t tokens_ = 0, hidden_ = 7168, top_k_ = 8, experts_ = 256, ranks_ = 0;
};

}  // namespace

bool read_measured_text(const std::string& path, const MeasuredDefaults& d, Measured& out) {
  const auto lines = lines_of(path);
  return NcclTests().read(lines, d, out) || DeepEp().read(lines, d, out);
}

}  // namespace railcast
