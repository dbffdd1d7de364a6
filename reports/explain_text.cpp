#include <algorithm>

#include "reports/format.hpp"
#include "reports/table.hpp"
#include "reports/text.hpp"

namespace railcast {
namespace {

/// Numbers texts in the order in which they first come.
class Footnotes {
 public:
  std::string mark(const std::string& text) {
    auto it = std::ranges::find(texts_, text);
    if (it == texts_.end()) it = texts_.insert(it, text);
    return "[" + std::to_string(it - texts_.begin() + 1) + "]";
  }
  std::string text() const {
    Table t("rl", 2, 100);
    for (std::size_t i = 0; i < texts_.size(); ++i) t.row({"[" + std::to_string(i + 1) + "]", texts_[i]});
    return t.text();
  }

 private:
  std::vector<std::string> texts_;
};

std::string flops_cell(double flops) { return flops > 0 ? flops_text(flops) : "-"; }
std::string bytes_cell(double bytes) { return bytes > 0 ? bytes_text(bytes) : "-"; }

void add_totals(Table& t, const std::vector<ExplainRow>& rows, const std::string& label) {
  double flops = 0, bytes = 0;
  Time time;
  for (const ExplainRow& r : rows) flops += r.flops, bytes += r.bytes, time += r.time;
  t.row({"  " + label, "", flops_cell(flops), bytes_cell(bytes), "", duration_text(time.seconds())});
}

}  // namespace

std::string explain_text(const std::vector<ExplainRow>& rows, bool colour) {
  Table t("llrrrrll");
  Footnotes sources;
  t.row({"op", "shape", "FLOPs", "bytes", "SMs", "time alone", "provenance", "source"});
  for (std::size_t i = 0; i < rows.size();) {
    std::size_t end = i;
    while (end < rows.size() && rows[end].segment == rows[i].segment) ++end;
    t.line(inked(rows[i].segment, Ink::bold, colour));
    for (std::size_t k = i; k < end; ++k) {
      const ExplainRow& r = rows[k];
      t.row({"  " + r.what, r.shape, flops_cell(r.flops), bytes_cell(r.bytes), r.sms > 0 ? std::to_string(r.sms) : "-",
             duration_text(r.time.seconds()), name(r.provenance), sources.mark(r.source)});
    }
    const auto from = rows.begin() + static_cast<std::ptrdiff_t>(i),
               to = rows.begin() + static_cast<std::ptrdiff_t>(end);
    add_totals(t, {from, to}, "total");
    i = end;
  }
  t.line(inked("all", Ink::bold, colour));
  add_totals(t, rows, "total");
  return t.text() + "\nsources\n" + sources.text();
}

}  // namespace railcast
