// Strict reading of JSON objects: every access records its JSON pointer; unknown keys are errors with a near miss.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/quantity.hpp"
#include "model/scenario.hpp"

namespace railcast {

inline constexpr std::size_t kMaxJsonBytes = 16u << 20;

/// The file's text; refuses what is missing, unreadable or larger than `max_bytes` before reading it.
std::string read_text(const std::string& path, std::size_t max_bytes = kMaxJsonBytes);

/// Parses strictly: BadInput names the line of a syntax error, or a key that stands twice in one object.
nlohmann::json parse_json(const std::string& text, const std::string& path);
nlohmann::json read_json(const std::string& path, std::size_t max_bytes = kMaxJsonBytes);

/// One JSON object being read. Keys are remembered as they are asked for; `finish` refuses all others.
/// The document must outlive the reader.
class JsonObject {
 public:
  JsonObject(const nlohmann::json& value, std::string file, std::string pointer = "");
  JsonObject(nlohmann::json&&, std::string, std::string = "") = delete;

  bool has(const std::string& key);
  std::int64_t integer(const std::string& key, std::int64_t least = 0,
                       std::int64_t most = std::numeric_limits<std::int64_t>::max());
  double number(const std::string& key);  ///< bare and finite; counts and ratios only
  bool boolean(const std::string& key);
  std::string text(const std::string& key);
  /// A text that must be one of `allowed`.
  std::string one_of(const std::string& key, const std::vector<std::string>& allowed);
  double quantity(const std::string& key, Dimension d);  ///< SI units
  std::vector<std::string> texts(const std::string& key);
  std::vector<std::int64_t> integers(const std::string& key, std::int64_t least = 0);
  JsonObject object(const std::string& key);
  std::vector<JsonObject> objects(const std::string& key);
  const nlohmann::json& raw(const std::string& key);
  std::vector<std::string> keys() const;

  /// Throws BadInput at the first key that was never asked for.
  void finish() const;
  /// Throws BadInput at `key` (or at this object where it is empty).
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const;
  const std::string& file() const { return file_; }
  const std::string& pointer() const { return pointer_; }

 private:
  const nlohmann::json* value_;
  std::string file_, pointer_;
  std::vector<std::string> asked_;
};

}  // namespace railcast
