// NumPy's .npy (numpy.org/doc/stable/reference/generated/numpy.lib.format.html): a magic, a header's length, a header
// that is a Python dict, the data.
#include <algorithm>
#include <charconv>
#include <cstring>

#include "cli/load_counts.hpp"
#include "model/scenario.hpp"

namespace railcast {
namespace {

constexpr std::int64_t kMostNumbers = std::int64_t{1} << 26;

struct Header {
  std::string dtype;
  bool fortran = false;
  std::vector<std::int64_t> shape;
};

class NpyReader {
 public:
  NpyReader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  Array3 read() {
    const Header h = header();
    const std::int64_t size = h.dtype[2] - '0', n = numbers(h);
    const auto data = bytes_.substr(data_at_);
    if (std::ssize(data) != n * size)
      refuse("has " + std::to_string(data.size()) + " bytes of data; its header says " + std::to_string(n * size) +
             (std::ssize(data) < n * size ? " (is the file truncated?)" : ""));
    Array3 a{h.shape.size() == 3 ? h.shape[0] : 1, h.shape[h.shape.size() - 2], h.shape.back(), {}};
    a.value.resize(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < a.value.size(); ++i)
      a.value[i] = number(data.substr(i * static_cast<std::size_t>(size), static_cast<std::size_t>(size)), h.dtype[1]);
    return a;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { throw BadInput(name_, "", what); }

  Header header() {
    if (!bytes_.starts_with("\x93NUMPY")) refuse("is no .npy file: it does not begin with \\x93NUMPY");
    if (bytes_.size() < 12) refuse("ends in its header; is the file truncated?");
    const bool long_header = bytes_[6] >= 2;
    std::size_t length = byte(8) | byte(9) << 8;
    if (long_header) length |= byte(10) << 16 | byte(11) << 24;
    const std::size_t at = long_header ? 12 : 10;
    if (bytes_.size() - at < length) refuse("ends in its header; is the file truncated?");
    data_at_ = at + length;
    return parsed(bytes_.substr(at, length));
  }
  std::size_t byte(std::size_t i) const { return static_cast<unsigned char>(bytes_[i]); }

  // The three keys that NumPy writes, whatever their order.
  Header parsed(std::string_view dict) const {
    Header h;
    h.dtype = text_after(dict, "'descr'");
    h.fortran = after(dict, "'fortran_order'").starts_with("True");
    std::string_view shape = after(dict, "'shape'");
    if (!shape.starts_with('(')) refuse("its header has no shape");
    for (shape.remove_prefix(1); !shape.empty() && shape.front() != ')';) {
      std::int64_t n = 0;
      const auto [end, error] = std::from_chars(shape.data(), shape.data() + shape.size(), n);
      if (error != std::errc() || n < 0) refuse("its header has no shape");
      h.shape.push_back(n);
      shape.remove_prefix(static_cast<std::size_t>(end - shape.data()));
      while (shape.starts_with(',') || shape.starts_with(' ')) shape.remove_prefix(1);
    }
    check(h);
    return h;
  }
  std::string_view after(std::string_view dict, std::string_view key) const {
    const auto at = dict.find(key);
    if (at == std::string_view::npos) refuse("its header has no " + std::string(key));
    auto rest = dict.substr(at + key.size());
    while (rest.starts_with(':') || rest.starts_with(' ')) rest.remove_prefix(1);
    return rest;
  }
  std::string text_after(std::string_view dict, std::string_view key) const {
    const auto rest = after(dict, key);
    const auto end = rest.find('\'', 1);
    if (!rest.starts_with('\'') || end == std::string_view::npos) refuse("has a structured dtype; expected numbers");
    return std::string(rest.substr(1, end - 1));
  }
  void check(const Header& h) const {
    static const std::vector<std::string> known{"<f4", "<f8", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "|i1", "|u1"};
    if (std::find(known.begin(), known.end(), h.dtype) == known.end())
      refuse("has the dtype '" + h.dtype +
             "'; expected little-endian numbers (<f4, <f8, <i4, <i8 ...): save it with .astype(np.float32)");
    if (h.fortran) refuse("is in Fortran order; save it with np.ascontiguousarray()");
    if (h.shape.size() != 2 && h.shape.size() != 3)
      refuse("has " + std::to_string(h.shape.size()) + " dimensions; expected two or three");
  }
  std::int64_t numbers(const Header& h) const {
    std::int64_t n = 1;
    for (std::int64_t d : h.shape) {
      if (d < 1 || d > kMostNumbers / n) refuse("has a dimension of " + std::to_string(d));
      n *= d;
    }
    return n;
  }

  template <class T>
  static double as(std::string_view bytes) {
    T x;
    std::memcpy(&x, bytes.data(), sizeof x);
    return static_cast<double>(x);
  }
  static double number(std::string_view b, char kind) {
    if (kind == 'f') return b.size() == 4 ? as<float>(b) : as<double>(b);
    const bool sign = kind == 'i';
    switch (b.size()) {
      case 1:
        return sign ? as<std::int8_t>(b) : as<std::uint8_t>(b);
      case 2:
        return sign ? as<std::int16_t>(b) : as<std::uint16_t>(b);
      case 4:
        return sign ? as<std::int32_t>(b) : as<std::uint32_t>(b);
      default:
        return sign ? as<std::int64_t>(b) : as<std::uint64_t>(b);
    }
  }

  std::string_view bytes_;
  const std::string& name_;
  std::size_t data_at_ = 0;
};

}  // namespace

Array3 parse_npy(std::string_view bytes, const std::string& name) { return NpyReader(bytes, name).read(); }

}  // namespace railcast
