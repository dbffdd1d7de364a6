#include <algorithm>
#include <filesystem>
#include <sstream>

#include "cli/measured.hpp"
#include "cli/quantity.hpp"
#include "cli/shape_cells.hpp"
#include "model/scenario.hpp"

namespace railcast {
namespace {

/// The column of the time, and microseconds in its unit.
struct TimeColumn {
  std::string name;
  double us = 1;
};

TimeColumn time_column(const CsvTable& t) {
  for (const TimeColumn& c : {TimeColumn{"p50_us", 1},
                              {"us", 1},
                              {"latency_us", 1},
                              {"time_us", 1},
                              {"latency_ms", 1e3},
                              {"time_ms", 1e3},
                              {"latency_s", 1e6},
                              {"time_s", 1e6}})
    if (t.has(c.name)) return c;
  for (const char* bare : {"latency", "time", "duration", "median", "p50"})
    if (t.has(bare))
      t.refuse(std::string("column ") + bare + " has no unit; name it " + bare + "_us, " + bare + "_ms or " + bare +
               "_s");
  t.refuse("no column of times; expected one of p50_us, us, latency_us, latency_ms, time_us, time_ms");
}

std::string word(const CsvTable& t, const Cells& cells, const char* column, const std::string& otherwise) {
  return t.has(column) ? cells.at(column) : otherwise;
}

std::string where(const CsvTable& t) {
  const std::string device = t.fact("device"), date = t.fact("date");
  return t.where() + (device.empty() ? "" : " (" + device + (date.empty() ? "" : ", " + date) + ")");
}

/// "128x64 split 4": as railcast-measure writes it.
GemmTile tile_cell(const CsvTable& t, const Cells& cells) {
  const GemmTile tile = tile_named(cells.at("tile"));
  if (tile.bm == 0) t.refuse("column tile is \"" + cells.at("tile") + "\"; expected one such as 128x64 split 4, or -");
  return tile;
}

/// "22 30 34": the rows of each group.
std::vector<std::int64_t> rows_cell(const CsvTable& t, const Cells& cells) {
  std::vector<std::int64_t> rows;
  std::istringstream in(cells.at("group_rows"));
  for (std::int64_t n = 0; in >> n && n >= 0;) rows.push_back(n);
  if (!in.eof() || rows.size() != static_cast<std::size_t>(count_cell(t, cells, "groups")))
    t.refuse("column group_rows is \"" + cells.at("group_rows") + "\"; expected a count of rows for each group");
  return rows;
}

CalibrationRow measured_row(const CsvTable& t, const Cells& cells, const MeasuredDefaults& d, const TimeColumn& time) {
  CalibrationRow r;
  r.sms = t.has("sms") ? count_cell(t, cells, "sms") : d.sms;
  r.method = t.has("method") ? cell_of(t, cells, "method", {"cool", "sustained"}) : "sustained";
  r.impl = word(t, cells, "impl", d.impl);
  if (word(t, cells, "uneven", "0") == "1") r.impl += " uneven";
  if (word(t, cells, "tile", "-") != "-") r.tile = tile_cell(t, cells);
  if (t.has("group_rows") && t.has("groups")) r.group_rows = rows_cell(t, cells);
  r.us = positive_cell(t, cells, time.name) * time.us;
  r.where = where(t);
  return r;
}

/// Every column that is no field of the shape and no key is something measured.
std::vector<std::string> measured_columns(const CsvTable& t, std::vector<std::string> keys) {
  keys.insert(keys.end(), {"sms", "method", "impl", "uneven", "out_dtype", "dtype"});
  std::vector<std::string> measured;
  for (const std::string& c : t.columns())
    if (std::ranges::find(keys, c) == keys.end()) measured.push_back(c);
  return measured;
}

void read_collectives(CsvTable& t, const MeasuredDefaults& d, Measured& out) {
  const TimeColumn time = time_column(t);
  for (const char* c : {"op", "num_gpus", "message_bytes"})
    if (!t.has(c))
      t.refuse(std::string("no column ") + c + "; expected nccl,op,dtype,num_gpus,message_bytes,latency_ms");
  for (Cells cells; t.next(cells);) {
    CalibrationRow r = measured_row(t, cells, d, time);
    if (!collective_named(cells.at("op"), count_cell(t, cells, "message_bytes"), count_cell(t, cells, "num_gpus", 2),
                          r.shape))
      t.refuse("column op is \"" + cells.at("op") + "\"; expected all_reduce, all_gather, reduce_scatter or alltoall");
    r.impl = "NCCL " + cells.at("nccl") + (t.has("dtype") ? " " + cells.at("dtype") : "");
    out.rows.push_back(std::move(r));
  }
}

}  // namespace

namespace {

/// What a kernel writes where its Shape does not say; another output type is another kernel ("railcast to fp8_block").
std::string output_note(const CsvTable& t, const Cells& cells, const std::string& stem) {
  if (!t.has("out_dtype") || stem.find("gemm") != std::string::npos || stem.starts_with("wgrad")) return "";
  const bool quantized = stem == "quantize" || (stem == "swiglu" && cells.at("quantize") == "1");
  const std::string usual = quantized           ? "fp8_block"
                            : stem == "permute" ? cells.at("dtype")
                            : stem == "gate"    ? "fp32"
                                                : "bf16";
  const std::string& own = cells.at("out_dtype");
  return own == usual ? "" : " to " + own;
}

/// Of a precision that the Shape does not have, such as SwiGLU of cached FP8 inputs.
bool without_shape(const Cells& cells, const std::string& stem) {
  const Shape& blank = *blank_shape(stem);
  const bool varies = std::visit(
      [](const auto& s) {
        return requires { s.dtype; }
        || requires { s.from; };
      },
      blank);
  const std::string& own = cells.at("dtype");
  const bool known = std::ranges::any_of(kDtypes, [&](Dtype d) { return own == name(d); });
  return known && !varies && own != name(dtype_of(blank));
}

}  // namespace

void read_shapes(CsvTable& t, const std::string& stem, const MeasuredDefaults& d, Measured& out) {
  const TimeColumn time = time_column(t);
  const auto columns = shape_columns(stem);
  for (const std::string& c : columns)
    if (!t.has(c) && c != "dtype") t.refuse("no column " + c + "; a " + stem + " has " + listed(columns));
  const auto measured = measured_columns(t, columns);
  Keys keys;
  for (Cells cells; t.next(cells);) {
    if (!t.has("dtype")) cells["dtype"] = d.dtype;
    keys.add(t, cells, measured);
    CalibrationRow r = measured_row(t, cells, d, time);
    if (without_shape(cells, stem)) {
      out.left_out.push_back(t.where() + ": no Shape has " + stem + " of " + cells.at("dtype"));
      continue;
    }
    r.impl += output_note(t, cells, stem);
    r.shape = shape_in(t, cells, stem);
    out.rows.push_back(std::move(r));
  }
}

bool read_measured_csv(const std::string& path, const MeasuredDefaults& d, Measured& out) {
  const std::string stem = std::filesystem::path(path).stem().string();
  CsvTable t(path, {});
  const bool gemm = t.has("m") && t.has("n") && t.has("k") && !t.has("groups") && !t.has("copy_sms");
  const bool named = blank_shape(stem) != nullptr;
  if (!t.has("nccl") && !named && !(gemm && (t.has("latency_ms") || t.has("latency_us") || t.has("latency"))))
    return false;
  agree_on_device(t.where(), t.fact("device"), d, out);
  if (t.has("nccl"))
    read_collectives(t, d, out);
  else
    read_shapes(t, named ? stem : "gemm", d, out);
  return true;
}

}  // namespace railcast
