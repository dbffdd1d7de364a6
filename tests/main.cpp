// Catch2's main, compiled once (v2); v3 brings its own in Catch2Main.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#endif
#include "tests/catch.hpp"
