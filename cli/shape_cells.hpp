// A Shape's fields as columns of a table, in its struct's order.
#pragma once
#include <string>
#include <vector>

#include "cli/csv.hpp"

namespace railcast {

// The fields of a Shape in its struct's order. The dtype of a shape that has none is `fixed`.
// clang-format off
template <class F> Dtype fields(Gemm& s, F f) { f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {}; }
template <class S, class F> Dtype grouped_fields(S& s, F f) {
  f("groups", s.groups); f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {};
}
template <class F> Dtype fields(GroupedGemm& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(GroupedGemmMasked& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(WgradGrouped& s, F f) { return grouped_fields(s, f); }
template <class F> Dtype fields(Wgrad& s, F f) { f("m", s.m); f("n", s.n); f("k", s.k); f("dtype", s.dtype); return {}; }
template <class F> Dtype fields(Attention& s, F f) {
  f("batch", s.batch); f("q_len", s.q_len); f("kv_len", s.kv_len); f("heads", s.heads); f("kv_heads", s.kv_heads);
  f("d_qk", s.d_qk); f("d_v", s.d_v); f("causal", s.causal); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(Quantize& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("transpose", s.transpose); f("dtype", s.from); return {};
}
template <class F> Dtype fields(SwiGlu& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("backward", s.backward); f("quantize", s.quantize); return Dtype::bf16;
}
template <class F> Dtype fields(RmsNorm& s, F f) {
  f("rows", s.rows); f("cols", s.cols); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(Rope& s, F f) { f("rows", s.rows); f("cols", s.cols); return Dtype::bf16; }
template <class F> Dtype fields(Gate& s, F f) {
  f("tokens", s.tokens); f("experts", s.experts); f("groups", s.groups); f("top_k", s.top_k);
  f("backward", s.backward); return Dtype::fp32;
}
template <class F> Dtype fields(Permute& s, F f) {
  f("tokens", s.tokens); f("rows", s.rows); f("cols", s.cols); f("dtype", s.dtype); return {};
}
template <class F> Dtype fields(Unpermute& s, F f) {
  f("tokens", s.tokens); f("rows", s.rows); f("cols", s.cols); return Dtype::bf16;
}
template <class F> Dtype fields(Add& s, F f) { f("rows", s.rows); f("cols", s.cols); return Dtype::bf16; }
template <class F> Dtype fields(Embedding& s, F f) {
  f("tokens", s.tokens); f("hidden", s.hidden); f("backward", s.backward); return Dtype::bf16;
}
template <class F> Dtype fields(CrossEntropy& s, F f) { f("tokens", s.tokens); f("vocab", s.vocab); return Dtype::bf16; }
template <class F> Dtype fields(AdamW& s, F f) { f("parameters", s.parameters); return Dtype::fp32; }
// clang-format on

/// Shapes that have tables; collectives' rates are machine.json's.
const std::vector<Shape>& blank_shapes();
/// The blank of a stem; null where no shape is called so.
const Shape* blank_shape(const std::string& of_stem);

inline const std::vector<Dtype> kDtypes{Dtype::bf16, Dtype::fp8_block, Dtype::fp8_tensor, Dtype::fp32};

/// Sets one field from its cell.
struct FromCell {
  const CsvTable& table;
  const Cells& cells;
  void operator()(const char* column, std::int64_t& v) const { v = count_cell(table, cells, column); }
  void operator()(const char* column, bool& v) const { v = cell_of(table, cells, column, {"0", "1"}) == "1"; }
  void operator()(const char* /*column*/, Dtype& v) const { v = dtype_cell(table, cells, kDtypes); }
};

template <class S>
std::vector<std::string> columns_of(S blank) {
  std::vector<std::string> columns;
  fields(blank, [&](const char* column, auto&) { columns.emplace_back(column); });
  if (columns.back() != "dtype") columns.emplace_back("dtype");
  for (const char* c : {"sms", "method", "impl", "us"}) columns.emplace_back(c);
  return columns;
}

template <class S>
S shape_of(const CsvTable& t, const Cells& cells, S s) {
  bool has_dtype = false;
  fields(s, [&](const char* column, auto&) { has_dtype |= std::string(column) == "dtype"; });
  const Dtype fixed = fields(s, FromCell{t, cells});
  if (!has_dtype) dtype_cell(t, cells, {fixed});
  return s;
}

/// The Shape of a row of `of_stem`'s table.
Shape shape_in(const CsvTable& t, const Cells& cells, const std::string& of_stem);
/// Its columns, dtype included.
std::vector<std::string> shape_columns(const std::string& of_stem);

}  // namespace railcast
