#include <cstdio>

#include "model/cost.hpp"

namespace railcast {
namespace {

class Steady : public CostModel {
 public:
  Steady(std::unique_ptr<CostModel> sustained, double ratio) : sustained_(std::move(sustained)), ratio_(ratio) {}

  Cost cost(const Shape& s, std::int64_t sms) const override {
    Cost c = sustained_->cost(s, sms);
    if (is_collective(s) || c.drawn(Draw::power) < kAtTheCap) return c;
    c.work = Time::seconds(c.work.seconds() * ratio_);
    char note[40];
    std::snprintf(note, sizeof note, " x %.3f (after seconds)", ratio_);
    c.source += note;
    return c;
  }

 private:
  static constexpr double kAtTheCap =
      0.8;  // between the draws of memory-bound kernels (0.25) and of GEMMs (0.87 and up)
  std::unique_ptr<CostModel> sustained_;
  double ratio_;
};

}  // namespace

std::unique_ptr<CostModel> steady(std::unique_ptr<CostModel> sustained, double ratio) {
  if (ratio == 1) return sustained;
  return std::make_unique<Steady>(std::move(sustained), ratio);
}

}  // namespace railcast
