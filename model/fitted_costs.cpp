// A scenario's costs from what `railcast fit` wrote.
#include <algorithm>
#include <cmath>

#include "model/fitted.hpp"
#include "model/floor.hpp"
#include "model/spread.hpp"

namespace railcast {
namespace {

bool same(const Chip& a, const Chip& b) {
  return a.sms == b.sms && a.bf16_peak == b.bf16_peak && a.fp8_peak == b.fp8_peak && a.hbm == b.hbm;
}

class Fitted : public CostModel {
 public:
  Fitted(const Machine& m, Fit f, std::string path, std::unique_ptr<CostModel> otherwise)
      : machine_(m), fit_(std::move(f)), path_(std::move(path)), otherwise_(std::move(otherwise)) {}

  Cost cost(const Shape& s, std::int64_t sms) const override {
    check_sms(machine_, sms);
    const FittedFamily* const f = is_collective(s) ? nullptr : family_for(s);
    if (f == nullptr) return otherwise_->cost(s, sms);
    const Problem p{s, sms};
    const Estimated e = estimate(*f, machine_, p);
    const double total = e.us * 1e-6;
    Cost c;
    c.work = Time::seconds(std::max(0.5 * total, total - machine_.kernel_launch.seconds()));
    c.latency = Time::seconds(total) - c.work;
    const bool here = same(fit_.chip, machine_.chip());
    c.provenance = here && inside(*f, p) ? Provenance::interpolated : Provenance::extrapolated;
    c.spread = here ? e.spread : std::max(e.spread, kRooflineSpread);
    c.own = f->impl == "railcast" && c.provenance == Provenance::interpolated;
    c.source = path_ + ": " + f->family + " of " + f->impl + ", nearest ";
    for (const Neighbour& n : neighbours(*f, machine_, p, 2))
      c.source += (c.source.ends_with("nearest ") ? "" : "; ") + n.row;
    set_draws(machine_, s, c);
    return c;
  }

 private:
  /// The machine's impl of the shape, else railcast's own, else the first by name.
  const FittedFamily* family_for(const Shape& s) const {
    const std::string wanted = impl_and_variant(impl_for(machine_, stem(s), dtype_of(s))).first;
    const FittedFamily* found = nullptr;
    for (const FittedFamily& f : fit_.families) {
      if (f.method != "sustained" || !std::ranges::binary_search(f.covers, family(s))) continue;
      if (f.impl == wanted) return &f;
      if (found == nullptr || f.impl == "railcast") found = &f;
    }
    return found;
  }

  /// Within the least and largest of each coordinate of the rows.
  bool inside(const FittedFamily& f, const Problem& p) const {
    const GemmTile tile = chosen_tile(machine_, p, f.choice, f.prices);
    const Values at = coordinates(machine_, p, tile, variant_among(f.words, p.variant));
    const std::size_t sizes = std::min<std::size_t>(at.size(), f.form == Form::tiles ? 4 : 2);
    for (std::size_t i = 0; i < sizes; ++i) {
      const auto by = [i](const Values& a) { return a[i]; };
      if (at[i] < std::ranges::min(f.anchors, {}, by)[i] - 1e-9 ||
          at[i] > std::ranges::max(f.anchors, {}, by)[i] + 1e-9)
        return false;
    }
    return true;
  }

  Machine machine_;
  Fit fit_;
  std::string path_;
  std::unique_ptr<CostModel> otherwise_;
};

}  // namespace

std::unique_ptr<CostModel> fitted(const Machine& m, Fit f, const std::string& path,
                                  std::unique_ptr<CostModel> otherwise) {
  return std::make_unique<Fitted>(m, std::move(f), path, std::move(otherwise));
}

}  // namespace railcast
