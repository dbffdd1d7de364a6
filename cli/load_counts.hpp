// Recorded expert loads: counts [layers x experts] or per-token expert ids, as .npy, CSV or JSON.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/expert_counts.hpp"
#include "model/router.hpp"

namespace railcast {

/// Larger files are refused unread.
inline constexpr std::size_t kMaxCountsBytes = 64u << 20, kMaxIdsBytes = 256u << 20;

/// Numbers as they stand in a file: [windows x layers x experts], or [layers x tokens x top_k].
struct Array3 {
  std::int64_t outer = 1, rows = 0, cols = 0;
  std::vector<double> value;
};

// Parsers of a file's content; `name` is what a message calls it. They throw BadInput and nothing else.

/// NumPy's format 1.0 to 3.0, little-endian integers or floats of 1 to 8 bytes, C order, two or three dimensions.
Array3 parse_npy(std::string_view bytes, const std::string& name);
/// A row per line, cells apart by commas; blank lines and lines that begin with # or a letter are skipped.
Array3 parse_csv(std::string_view text, const std::string& name);
/// [[...], ...] or [[[...], ...], ...], or an object with them under "counts", "weight" or "token_ids".
Array3 parse_json_array(const std::string& text, const std::string& name);

/// By the file's ending; what is larger than `most` bytes is refused unread.
Array3 load_array(const std::string& path, std::size_t most);

/// One entry per window. Refuses counts that are negative or not finite and layers without a token.
std::vector<ExpertCounts> counts_from(const Array3& a, const std::string& name);
std::vector<ExpertCounts> load_counts(const std::string& path);
/// One entry per layer. Refuses ids that are no expert's, or that stand twice in a token.
std::vector<TokenRoutes> routes_from(const Array3& a, std::int64_t experts, const std::string& name);
std::vector<TokenRoutes> load_routes(const std::string& path, std::int64_t experts);

}  // namespace railcast
