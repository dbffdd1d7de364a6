#include "cli/json.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

namespace railcast {
namespace {

using nlohmann::json;

// RFC 6901: ~ is ~0, / is ~1.
std::string escaped(const std::string& key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

std::string line_of(const std::string& text, std::size_t byte) {
  const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(byte, text.size()));
  return "line " + std::to_string(1 + std::count(text.begin(), end, '\n'));
}

// What nlohmann says after its own "[json.exception...] parse error at line 1, column 2: " prefix.
std::string reason(const char* what) {
  const std::string s = what;
  const std::size_t at = s.find("syntax error");
  return at == std::string::npos ? s : s.substr(at);
}

// Refuses a key that stands twice in one object (a plain parse would keep the last one silently).
struct OneOfEach {
  const std::string& path;
  std::vector<std::set<std::string>> open = {};
  bool operator()(int /*depth*/, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end) open.pop_back();
    if (event == json::parse_event_t::key && !open.back().insert(value.get<std::string>()).second) {
      throw BadInput(path, "", "the key " + value.dump() + " stands twice in one object; keep one of them");
    }
    return true;
  }
};

const char* type_name(const json& v) { return v.is_object() ? "an object" : v.is_array() ? "a list" : v.type_name(); }

}  // namespace

std::string read_text(const std::string& path, std::size_t max_bytes) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw BadInput(path, "", "is a folder; expected a file");
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw BadInput(path, "", "cannot be read: " + error.message());
  if (size > max_bytes) {
    throw BadInput(path, "", "has " + std::to_string(size) + " bytes; expected at most " + std::to_string(max_bytes));
  }
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw BadInput(path, "", "cannot be read; check its permissions");
  return text.str();
}

json parse_json(const std::string& text, const std::string& path) {
  try {
    return json::parse(text, OneOfEach{path});
  } catch (const json::parse_error& e) {
    throw BadInput(path, "", line_of(text, e.byte) + ": not valid JSON (is the file truncated?): " + reason(e.what()));
  } catch (const json::exception& e) {
    throw BadInput(path, "", "not valid JSON: " + reason(e.what()));
  }
}

json read_json(const std::string& path, std::size_t max_bytes) { return parse_json(read_text(path, max_bytes), path); }

JsonObject::JsonObject(const json& value, std::string file, std::string pointer)
    : value_(&value), file_(std::move(file)), pointer_(std::move(pointer)) {
  if (!value.is_object()) throw BadInput(file_, pointer_, std::string("expected an object, found ") + type_name(value));
}

void JsonObject::refuse(const std::string& key, const std::string& what) const {
  throw BadInput(file_, key.empty() ? pointer_ : pointer_ + "/" + escaped(key), what);
}

bool JsonObject::has(const std::string& key) {
  asked_.push_back(key);
  return value_->contains(key);
}

const json& JsonObject::raw(const std::string& key) {
  if (!has(key)) refuse("", "the key \"" + key + "\" is missing" + did_you_mean(key, keys()));
  return value_->at(key);
}

std::int64_t JsonObject::integer(const std::string& key, std::int64_t least, std::int64_t most) {
  const json& v = raw(key);
  if (!v.is_number_integer()) refuse(key, std::string("expected a whole number, found ") + v.dump());
  const bool huge = v.is_number_unsigned() && v.get<std::uint64_t>() > std::uint64_t{1} << 62;
  if (huge || v.get<std::int64_t>() < least || v.get<std::int64_t>() > most) {
    refuse(key, "expected a whole number of at least " + std::to_string(least) +
                    (most == std::numeric_limits<std::int64_t>::max() ? "" : " and at most " + std::to_string(most)) +
                    ", found " + v.dump());
  }
  return v.get<std::int64_t>();
}

double JsonObject::number(const std::string& key) {
  const json& v = raw(key);
  if (!v.is_number() || !std::isfinite(v.get<double>())) refuse(key, "expected a number, found " + v.dump());
  return v.get<double>();
}

bool JsonObject::boolean(const std::string& key) {
  const json& v = raw(key);
  if (!v.is_boolean()) refuse(key, "expected true or false, found " + v.dump());
  return v.get<bool>();
}

std::string JsonObject::text(const std::string& key) {
  const json& v = raw(key);
  if (!v.is_string()) refuse(key, "expected a text, found " + v.dump());
  return v.get<std::string>();
}

std::string JsonObject::one_of(const std::string& key, const std::vector<std::string>& allowed) {
  const std::string v = text(key);
  if (std::find(allowed.begin(), allowed.end(), v) != allowed.end()) return v;
  refuse(key, "\"" + v + "\" is not one of " + listed(allowed) + did_you_mean(v, allowed));
}

double JsonObject::quantity(const std::string& key, Dimension d) {
  const json& v = raw(key);
  try {
    return parse_quantity(v.is_string() ? v.get<std::string>() : v.dump(), d);
  } catch (const std::invalid_argument& e) {
    refuse(key, e.what());
  }
}

std::vector<std::string> JsonObject::texts(const std::string& key) {
  std::vector<std::string> out;
  const json& v = raw(key);
  if (!v.is_array()) refuse(key, std::string("expected a list of texts, found ") + type_name(v));
  for (const json& e : v) {
    if (!e.is_string()) refuse(key, "expected a list of texts, found " + e.dump() + " in it");
    out.push_back(e.get<std::string>());
  }
  return out;
}

std::vector<std::int64_t> JsonObject::integers(const std::string& key, std::int64_t least) {
  std::vector<std::int64_t> out;
  const json& v = raw(key);
  if (!v.is_array()) refuse(key, std::string("expected a list of whole numbers, found ") + type_name(v));
  for (const json& e : v) {
    if (!e.is_number_integer() || e.get<std::int64_t>() < least) {
      refuse(key, "expected a list of whole numbers of at least " + std::to_string(least) + ", found " + e.dump());
    }
    out.push_back(e.get<std::int64_t>());
  }
  return out;
}

JsonObject JsonObject::object(const std::string& key) { return {raw(key), file_, pointer_ + "/" + escaped(key)}; }

std::vector<JsonObject> JsonObject::objects(const std::string& key) {
  std::vector<JsonObject> out;
  const json& v = raw(key);
  if (!v.is_array()) refuse(key, std::string("expected a list of objects, found ") + type_name(v));
  for (std::size_t i = 0; i < v.size(); ++i) {
    out.emplace_back(v[i], file_, pointer_ + "/" + escaped(key) + "/" + std::to_string(i));
  }
  return out;
}

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> out;
  for (const auto& [key, unused] : value_->items()) out.push_back(key);
  return out;
}

void JsonObject::finish() const {
  for (const std::string& key : keys()) {
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
      refuse(key, "unknown key" + did_you_mean(key, asked_));
    }
  }
}

}  // namespace railcast
