// How a list of sources is written.
#pragma once
#include <string>

namespace railcast {

/// Adds `where` to `sources`, after "; ". Neighbouring rows of one file and card share their words: "t.csv:3 (card)"
/// and then "t.csv:5 (card)" give "t.csv:3,5 (card)".
void cite(std::string& sources, const std::string& where);

}  // namespace railcast
