#include "cli/sensitivity.hpp"

#include <algorithm>

#include "model/retime.hpp"

namespace railcast {
namespace {

constexpr int kSamples = 3;

Elasticity measured(const std::string& what, const TrainStep& step, std::span<const Base> bases) {
  Elasticity e{what, elasticity(step, bases), 0, 0};
  e.low = e.high = e.value;
  if (e.value == 0) return e;
  for (const Retiming& r : sampled(kSamples)) {
    const double v = elasticity(step, bases, r);
    e.low = std::min(e.low, v), e.high = std::max(e.high, v);
  }
  return e;
}

Choice tried(const std::string& what, Scenario s, std::int64_t Plan::*key, std::int64_t value) {
  s.plan.*key = value;
  Choice c{what + " " + std::to_string(value), "", 0};
  try {
    const Forecast f = forecast(s);
    c.step_time_s = f.metrics.step_time_s;
    if (!f.metrics.memory.fits()) c.reason = "does not fit in memory";
  } catch (const BadInput& e) {
    c.reason = e.what();
  }
  return c;
}

}  // namespace

Sensitivity sensitivity(const Scenario& s, const Forecast& f) {
  Sensitivity out{f.metrics.step_time_s, f.metrics.step_low_s, f.metrics.step_high_s, {}, {}, {}};
  for (int i = 0; i < kBases; ++i) {
    const Base b = static_cast<Base>(i);
    out.bases.push_back(measured(name(b), f.step, std::span(&b, 1)));
  }
  constexpr std::array kernels{Base::gemm, Base::grouped_gemm, Base::wgrad, Base::attention};
  constexpr std::array network{Base::nvlink, Base::nic};
  out.groups.push_back(measured("all GEMMs and attention", f.step, kernels));
  out.groups.push_back(measured("NVLink and NIC", f.step, network));
  for (const std::int64_t sms : {s.plan.comm_sms - 4, s.plan.comm_sms + 4})
    if (s.plan.comm_sms > 0 && sms > 0 && sms < s.machine.sms)
      out.choices.push_back(tried("communication SMs", s, &Plan::comm_sms, sms));
  out.choices.push_back(tried("micro-batch", s, &Plan::micro_batch, 2 * s.plan.micro_batch));
  return out;
}

}  // namespace railcast
