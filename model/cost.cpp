#include "model/cost.hpp"

#include <algorithm>
#include <stdexcept>

namespace railcast {

const char* name(Provenance p) {
  switch (p) {
    case Provenance::measured:
      return "measured";
    case Provenance::interpolated:
      return "interpolated";
    case Provenance::extrapolated:
      return "extrapolated";
    case Provenance::assumed:
      return "assumed";
  }
  return "?";
}

Dtype dtype_of(const Shape& s) {
  return std::visit(
      [](const auto& x) {
        using S = std::decay_t<decltype(x)>;
        if constexpr (requires { x.dtype; }) return x.dtype;
        if constexpr (requires { x.from; }) return x.from;
        return std::is_same_v<S, Gate> || std::is_same_v<S, AdamW> ? Dtype::fp32 : Dtype::bf16;
      },
      s);
}

FlopRate peak_of(const Chip& c, Dtype d) {
  if (d == Dtype::fp8_block || d == Dtype::fp8_tensor) return c.fp8_peak;
  return d == Dtype::fp32 ? 0.5 * c.bf16_peak : c.bf16_peak;
}

bool is_collective(const Shape& s) {
  return std::visit(
      [](const auto& x) {
        return requires { x.ranks; }
        || requires { x.same_node; };
      },
      s);
}

void set_draws(const Machine& m, const Shape& s, Cost& c) {
  const double seconds = std::max(c.work.seconds(), 1e-12);
  const double hbm = hbm_bytes(s) / memory_rate(m, m.sms).per_second() / seconds;
  const double compute = flops(s) / peak_of(m.chip(), dtype_of(s)).per_second();
  const double memory = hbm_bytes(s) / m.hbm.per_second();
  const double busy = compute >= memory || memory == 0 ? 1.0 : compute / memory;
  c.drawn(Draw::hbm) = std::min(1.0, hbm);
  c.drawn(Draw::power) = std::min(1.0, (compute > 0 ? busy : 0.0) + kPowerPerHbm * c.drawn(Draw::hbm));
}

void check_sms(const Machine& m, std::int64_t sms) {
  if (sms < 1 || sms > m.sms) {
    throw std::invalid_argument(std::to_string(sms) + " SMs asked of a " + m.name + " GPU; expected 1 to " +
                                std::to_string(m.sms));
  }
}

}  // namespace railcast
