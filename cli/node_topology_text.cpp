// `nvidia-smi topo -m`: a matrix of GPUs and NICs. NV18: 18 NVLinks; PIX, PXB: one PCIe switch or several; PHB, NODE,
// SYS: through the CPU.
#include <algorithm>
#include <regex>
#include <sstream>

#include "cli/node_topology.hpp"
#include "model/scenario.hpp"

namespace railcast {
namespace {

struct Row {
  std::string name;
  std::size_t line = 0;
  std::vector<std::string> cells;
};

/// Rows and columns: the same devices in the same order.
struct Matrix {
  std::vector<std::string> devices;
  std::vector<Row> rows;
};

bool is_gpu(const std::string& name) { return name.starts_with("GPU"); }

bool is_device(const std::string& word) {
  static const std::regex device("(GPU|NIC)[0-9]{1,4}|mlx[0-9a-z_]{1,32}");
  return std::regex_match(word, device);
}

std::vector<std::string> words(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> all;
  for (std::string w; in >> w;) all.push_back(w);
  return all;
}

// The header is underlined where the tool wrote to a terminal: ESC [ 4 m.
std::string without_colours(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\x1b')
      while (i < text.size() && text[i] != 'm') ++i;
    else
      out += text[i];
  }
  return out;
}

[[noreturn]] void refuse(const std::string& file, std::size_t line, const std::string& what) {
  throw BadInput(file, "", (line > 0 ? "line " + std::to_string(line) + ": " : "") + what);
}

Matrix read_matrix(const std::string& text, const std::string& file) {
  Matrix m;
  std::istringstream in(without_colours(text));
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const auto w = words(line);
    if (w.empty() || !is_device(w[0])) {
      if (!m.rows.empty()) break;  // the legend
      continue;
    }
    if (m.devices.empty()) {
      m.devices.assign(w.begin(), std::ranges::find_if_not(w, is_device));
      continue;
    }
    if (w.size() < 1 + m.devices.size())
      refuse(file, number, w[0] + " has fewer than " + std::to_string(m.devices.size()) + " cells (is the file cut?)");
    m.rows.push_back({w[0], number, {w.begin() + 1, w.begin() + 1 + std::ssize(m.devices)}});
  }
  if (m.devices.empty()) refuse(file, 0, "has no row of GPU0 GPU1 ...; expected what `nvidia-smi topo -m` prints");
  return m;
}

// 18 of NV18; 0 for a way over PCIe; refuses other words.
std::int64_t nvlinks(const std::string& cell, const Matrix& m, const Row& row, std::size_t column,
                     const std::string& file) {
  static const std::regex nvlink("NV([0-9]{1,2})");
  std::smatch found;
  if (std::regex_match(cell, found, nvlink)) return std::stoll(found[1]);
  for (const char* way : {"PIX", "PXB", "PHB", "NODE", "SYS"})
    if (cell == way) return 0;
  refuse(file, row.line,
         m.devices[column] + " cannot be reached from " + row.name + ": \"" + cell +
             "\" is none of NV1 to NV99, PIX, PXB, PHB, NODE, SYS");
}

void check(const Matrix& m, const std::string& file) {
  if (m.rows.size() != m.devices.size())
    refuse(file, 0,
           "has " + std::to_string(m.devices.size()) + " columns and " + std::to_string(m.rows.size()) +
               " rows (is the file cut?)");
  for (std::size_t i = 0; i < m.rows.size(); ++i) {
    const Row& row = m.rows[i];
    if (row.name != m.devices[i])
      refuse(file, row.line, "row " + row.name + " where " + m.devices[i] + " was expected");
    for (std::size_t j = 0; j < m.devices.size(); ++j) {
      if ((row.cells[j] == "X") != (i == j))
        refuse(file, row.line,
               "expected X where a device meets itself, found \"" + row.cells[j] + "\" for " + m.devices[j]);
      if (i != j) nvlinks(row.cells[j], m, row, j, file);
      if (row.cells[j] != m.rows[j].cells[i])
        refuse(file, row.line,
               row.name + " to " + m.devices[j] + " is " + row.cells[j] + ", but back it is " + m.rows[j].cells[i]);
    }
  }
}

// Of every pair of GPUs the same number, or none.
void read_links(const Matrix& m, const std::string& file, NodeTopology& t) {
  std::int64_t least = 99, most = 0;
  std::string worst;
  for (const Row& row : m.rows)
    for (std::size_t j = 0; j < m.devices.size(); ++j) {
      if (!is_gpu(row.name) || !is_gpu(m.devices[j]) || row.cells[j] == "X") continue;
      const std::int64_t n = nvlinks(row.cells[j], m, row, j, file);
      if (n < least) least = n, worst = m.devices[j] + " from " + row.name;
      most = std::max(most, n);
    }
  if (most > 0 && least == 0)
    refuse(file, 0,
           worst + " cannot be reached over NVLink, though others are; expected NVLink between all GPUs, or none");
  if (least < most)
    t.notes.push_back(worst + " has " + std::to_string(least) + " NVLinks, others " + std::to_string(most));
  t.nvlinks = most == 0 ? 0 : least;
}

bool shares_a_switch(const Matrix& m, const Row& nic) {
  for (std::size_t j = 0; j < m.devices.size(); ++j)
    if (is_gpu(m.devices[j]) && (nic.cells[j] == "PIX" || nic.cells[j] == "PXB")) return true;
  return false;
}

// A NIC behind every GPU's CPU is a management port's, unless all are (a virtual machine's flat bus).
void count_nics(const Matrix& m, NodeTopology& t) {
  std::vector<std::string> far;
  for (const Row& row : m.rows) {
    if (is_gpu(row.name)) continue;
    if (shares_a_switch(m, row)) {
      ++t.nics;
    } else {
      far.push_back(row.name);
    }
  }
  if (t.nics == 0) {
    t.nics = std::ssize(far);
    if (t.nics > 0) t.notes.push_back("no NIC shares a PCIe switch with a GPU; all are taken");
    return;
  }
  for (const std::string& name : far) t.notes.push_back(name + " shares no PCIe switch with a GPU and is left out");
}

}  // namespace

NodeTopology parse_topology_matrix(const std::string& text, const std::string& file) {
  const Matrix m = read_matrix(text, file);
  check(m, file);
  NodeTopology t;
  t.gpus = std::ranges::count_if(m.devices, is_gpu);
  if (t.gpus == 0) refuse(file, 0, "names no GPU");
  read_links(m, file, t);
  count_nics(m, t);
  return t;
}

NodeTopology parse_topology(const std::string& text, const std::string& file) {
  const auto first = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  const bool xml = first != std::string::npos && text[first] == '<';
  return xml ? parse_nccl_topology(text, file) : parse_topology_matrix(text, file);
}

}  // namespace railcast
