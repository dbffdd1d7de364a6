// One header for Catch2 v2 (Debian 12) and v3 (newer systems).
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch::Matchers {
inline auto ContainsSubstring(const std::string& s) { return Contains(s); }  // v3's name
}  // namespace Catch::Matchers
#endif
