// What every fuzzer does: a parser of users' files may refuse its input with BadInput, and do nothing else.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "model/scenario.hpp"

namespace railcast::tests {

template <class Parse>
int fed(const std::uint8_t* data, std::size_t size, const Parse& parse) {
  try {
    parse(std::string(reinterpret_cast<const char*>(data), size));
  } catch (const BadInput&) {
  }
  return 0;
}

}  // namespace railcast::tests
