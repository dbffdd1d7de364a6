// NumPy's .npy, written by hand.
#pragma once
#include <cstring>
#include <string>
#include <vector>

namespace railcast::tests {

template <class T>
std::string npy(const std::string& dtype, const std::string& shape, const std::vector<T>& values,
                const std::string& fortran = "False") {
  std::string header = "{'descr': '" + dtype + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
  header += std::string(63 - (header.size() + 10) % 64, ' ') + "\n";
  std::string out = "\x93NUMPY";
  out += '\x01';
  out += '\0';
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  const std::size_t at = out.size();
  out.resize(at + values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(out.data() + at, values.data(), values.size() * sizeof(T));
  return out;
}

}  // namespace railcast::tests
