#include "cli/shape_cells.hpp"

#include <algorithm>

namespace railcast {

const std::vector<Shape>& blank_shapes() {
  static const std::vector<Shape> shapes{
      Gemm{},      GroupedGemm{}, GroupedGemmMasked{}, Wgrad{},        WgradGrouped{}, Attention{},
      Quantize{},  SwiGlu{},      RmsNorm{},           Rope{},         Gate{},         Permute{},
      Unpermute{}, Add{},         Embedding{},         CrossEntropy{}, AdamW{}};
  return shapes;
}

const Shape* blank_shape(const std::string& of_stem) {
  const auto& all = blank_shapes();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Shape& s) { return of_stem == stem(s); });
  return found == all.end() ? nullptr : &*found;
}

Shape shape_in(const CsvTable& t, const Cells& cells, const std::string& of_stem) {
  return std::visit(
      [&](const auto& s) -> Shape {
        if constexpr (requires(std::decay_t<decltype(s)> x) { fields(x, FromCell{t, {}}); })
          return shape_of(t, cells, s);
        t.refuse("\"" + of_stem + "\" has no table");
      },
      *blank_shape(of_stem));
}

std::vector<std::string> shape_columns(const std::string& of_stem) {
  std::vector<std::string> columns = std::visit(
      [](const auto& s) -> std::vector<std::string> {
        if constexpr (requires(std::decay_t<decltype(s)> x) { fields(x, [](const char*, auto&) {}); })
          return columns_of(s);
        return {};
      },
      *blank_shape(of_stem));
  columns.resize(columns.size() - 4);
  return columns;
}

}  // namespace railcast
