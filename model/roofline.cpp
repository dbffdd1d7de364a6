// The floor: FLOPs over the peak of the SMs given, bytes over the memory's peak.
#include <algorithm>

#include "model/collective.hpp"
#include "model/cost.hpp"
#include "model/spread.hpp"

namespace railcast {
namespace {

class Roofline : public CostModel {
 public:
  explicit Roofline(const Machine& m) : machine_(m) {}

  Cost cost(const Shape& s, std::int64_t sms) const override {
    check_sms(machine_, sms);
    if (is_collective(s)) {
      Cost c = collective_cost(machine_, s, sms);
      c.spread = kRooflineSpread;
      return c;
    }
    const double share = static_cast<double>(sms) / static_cast<double>(machine_.sms);
    const double compute = flops(s) / (share * peak_of(machine_.chip(), dtype_of(s)).per_second());
    // A quarter of the SMs fill the memory, as on H100 (calibration/copy.csv).
    const double memory = hbm_bytes(s) / (std::min(1.0, 4 * share) * machine_.hbm.per_second());
    Cost c;
    c.latency = machine_.kernel_launch;
    c.work = Time::seconds(std::max(compute, memory));
    c.source = machine_.path + (compute > memory ? ": peak" : ": hbm");
    c.spread = kRooflineSpread;
    set_draws(machine_, s, c);
    return c;
  }

 private:
  Machine machine_;
};

}  // namespace

std::unique_ptr<CostModel> roofline(const Machine& m) { return std::make_unique<Roofline>(m); }

}  // namespace railcast
