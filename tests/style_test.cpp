// No function over 60 lines (rows of a braced table apart), no file over 400, no block of six or more lines twice.
#include <cctype>
#include <map>
#include <optional>
#include <regex>

#include "tests/catch.hpp"
#include "tests/source_tree.hpp"

using namespace railcast::tests;

namespace {

constexpr std::size_t longest_function = 60, longest_file = 400, shortest_repeat = 6;

std::vector<SourceFile> all_sources() {
  return source_files({"cli", "kernels", "model", "reports", "sim", "tests", "validate"});
}

std::string trimmed(const std::string& s) {
  const auto from = s.find_first_not_of(" \t"), to = s.find_last_not_of(" \t");
  return from == std::string::npos ? "" : s.substr(from, to - from + 1);
}

/// The source with comments, directives and the insides of literals blanked, newlines kept.
std::string code_only(const SourceFile& file) {
  static const std::regex raw(R"re(R"(\w*)\(([^)]|\)(?!\1"))*\)\1")re");
  static const std::regex literal(R"re("(\\.|[^"\\])*"|'(\\.|[^'\\])')re");
  static const std::regex noise(R"re(//.*|^\s*#.*)re");
  std::string code;
  for (const auto& line : file.lines) {
    std::string s = std::regex_replace(line, raw, "\"\"");
    s = std::regex_replace(s, literal, "\"\"");
    code += std::regex_replace(s, noise, "") + "\n";
  }
  return code;
}

/// What stands before an opening brace, from the end of the statement or brace before it.
std::string without_prefixes(std::string head) {
  head = std::regex_replace(trimmed(head), std::regex("^(public|private|protected)\\s*:\\s*"), "");
  if (!head.starts_with("template")) return head;
  int depth = 0;
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '<') ++depth;
    if (head[i] == '>' && --depth == 0) return trimmed(head.substr(i + 1));
  }
  return head;
}

enum class Brace { scope, function, table, block };

Brace kind_of(const std::string& head, bool in_function) {
  static const std::regex scope("^(inline |static |constexpr )*(namespace|class|struct|enum|union|extern)\\b.*");
  const std::string text = std::regex_replace(without_prefixes(head), std::regex("\\s+"), " ");
  if (text.empty()) return in_function ? Brace::table : Brace::scope;  // a row, or a bare block
  const char last = text.back();
  if (last == '=' || last == ',' || last == '(' || text.ends_with("return")) return Brace::table;
  if (in_function) return Brace::block;
  if (std::regex_match(text, scope)) return Brace::scope;
  return text.find('(') == std::string::npos ? Brace::table : Brace::function;
}

struct Function {
  std::size_t line;   ///< its first, from 1
  std::size_t lines;  ///< rows of tables in it not counted
};

/// Outermost functions of a file, found by their braces.
class FunctionScan {
 public:
  std::vector<Function> functions;

  void read(const std::string& code) {
    for (const char c : code) {
      if (c == '{')
        open();
      else if (c == '}')
        close();
      else if (c == ';')
        head_.clear();
      else
        take(c);
      if (c == '\n') ++line_;
    }
  }
  bool balanced() const { return open_.empty(); }

 private:
  struct Open {
    Brace kind;
    std::size_t line;
  };

  void take(char c) {
    if (head_.empty() && std::isspace(static_cast<unsigned char>(c))) return;
    if (head_.empty()) head_line_ = line_;
    head_ += c;
  }
  void open() {
    const Brace kind = kind_of(head_, in_function_);
    open_.push_back({kind, kind == Brace::function ? head_line_ : line_});
    if (kind == Brace::function) in_function_ = true, rows_ = 0;
    tables_ += kind == Brace::table;
    head_.clear();
  }
  void close() {
    if (open_.empty()) return;
    const Open ended = open_.back();
    open_.pop_back();
    if (ended.kind == Brace::table && --tables_ == 0) rows_ += line_ - ended.line;
    if (ended.kind == Brace::function) {
      functions.push_back({ended.line, line_ - ended.line + 1 - rows_});
      in_function_ = false;
    }
    head_.clear();
  }

  std::vector<Open> open_;
  std::string head_;
  std::size_t line_ = 1, head_line_ = 1, rows_ = 0;
  int tables_ = 0;
  bool in_function_ = false;
};

std::vector<Function> functions_of(const SourceFile& file) {
  FunctionScan scan;
  scan.read(code_only(file));
  return scan.functions;
}

struct Line {
  std::size_t number;
  std::string text;
};

/// The lines that can repeat something: no blanks, comments, directives, nor the namespace's frame.
std::vector<Line> telling_lines(const SourceFile& file) {
  static const std::regex frame("(//|#|using namespace|namespace|\\}  // namespace).*");
  std::vector<Line> kept;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string text = trimmed(file.lines[i]);
    if (!text.empty() && !std::regex_match(text, frame)) kept.push_back({i + 1, text});
  }
  return kept;
}

/// A brace or a row of literals is no code to share.
bool has_code(const std::string& line) {
  static const std::regex literals(R"re("(\\.|[^"\\])*"|[0-9.']+)re");
  const std::string rest = std::regex_replace(line, literals, "");
  return std::any_of(rest.begin(), rest.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
}

/// Six lines as one key; none where few of them are code.
std::optional<std::string> block_at(const std::vector<Line>& lines, std::size_t first) {
  std::string key;
  int with_code = 0;
  for (std::size_t i = first; i < first + shortest_repeat; ++i) {
    with_code += has_code(lines[i].text);
    key += lines[i].text + "\n";
  }
  return with_code >= 4 ? std::optional(key) : std::nullopt;
}

/// "a.cpp:10 repeats b.cpp:20" for every block of six lines that stood before; overlapping ones once.
std::vector<std::string> repeats(const std::vector<SourceFile>& files) {
  std::map<std::string, std::string> seen;
  std::vector<std::string> found;
  for (const auto& file : files) {
    const auto lines = telling_lines(file);
    for (std::size_t i = 0, quiet_until = 0; i + shortest_repeat <= lines.size(); ++i) {
      const auto block = block_at(lines, i);
      if (!block) continue;
      const std::string place = file.path + ":" + std::to_string(lines[i].number);
      const auto [before, is_new] = seen.emplace(*block, place);
      if (is_new) continue;
      if (i >= quiet_until) found.push_back(place + " repeats " + before->second);
      quiet_until = i + shortest_repeat;
    }
  }
  return found;
}

SourceFile function_of(std::size_t statements, const std::string& statement) {
  SourceFile file{"a.cpp", {"namespace n {", "template <class T>", "int f(T t) {"}};
  file.lines.insert(file.lines.end(), statements, statement);
  file.lines.insert(file.lines.end(), {"}", "}"});
  return file;
}

}  // namespace

TEST_CASE("no function is over 60 lines", "[style]") {
  std::size_t functions = 0;
  for (const auto& file : all_sources())
    for (const auto& f : functions_of(file)) {
      ++functions;
      if (f.lines > longest_function)
        FAIL_CHECK(file.path << ":" << f.line << " begins a function of " << f.lines << " lines");
    }
  CHECK(functions > 100);  // the scan saw the tree
}

TEST_CASE("no file is over 400 lines", "[style]") {
  for (const auto& file : all_sources())
    if (file.lines.size() > longest_file) FAIL_CHECK(file.path << " has " << file.lines.size() << " lines");
}

TEST_CASE("no block of six lines stands twice", "[style]") {
  for (const auto& repeat : repeats(all_sources())) FAIL_CHECK(repeat);
}

TEST_CASE("the scan of functions counts from signature to brace", "[style]") {
  const auto functions = functions_of(function_of(59, "  if (t) { g(\"{\"); }  // {"));
  REQUIRE(functions.size() == 1);
  CHECK(functions[0].line == 2);
  CHECK(functions[0].lines == 62);
}

TEST_CASE("the scan of functions does not count the rows of a table", "[style]") {
  SourceFile file{"a.cpp",
                  {"void f() {", "  static const Row rows[] = {", "      {1, 2},", "      {3, 4},", "  };", "}"}};
  REQUIRE(functions_of(file).size() == 1);
  CHECK(functions_of(file)[0].lines == 3);
}

TEST_CASE("a repeated block is found across files, whatever its indentation, and reported once", "[style]") {
  SourceFile a{"a.cpp", {"a(1);", "b(2);", "", "c(3);", "// why", "d(4);", "e(5);", "f(6);", "g(7);"}};
  SourceFile b{"b.cpp", {"x();", "  a(1);", "  b(2);", "  c(3);", "  d(4);", "  e(5);", "  f(6);", "  g(7);"}};
  CHECK(repeats({a, b}) == std::vector<std::string>{"b.cpp:2 repeats a.cpp:1"});
  b.lines[4] = "  d(5);";
  CHECK(repeats({a, b}).empty());
}
