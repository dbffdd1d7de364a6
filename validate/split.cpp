#include "validate/split.hpp"

namespace railcast {

// Fowler, Noll and Vo's constants; the finaliser spreads nearby keys over all bits.
std::uint64_t hash_of(const std::string& text) {
  std::uint64_t h = 0xcbf2'9ce4'8422'2325;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x0000'0100'0000'01b3;
  h = (h ^ (h >> 33)) * 0xff51'afd7'ed55'8ccd;
  return h ^ (h >> 33);
}

namespace {

/// 0 to 1, by the key's hash.
double place(const std::string& key) { return static_cast<double>(hash_of(key) >> 11) * 0x1p-53; }

}  // namespace

template <class Judge>
Split Split::by(const std::vector<CalibrationRow>& rows, const Judge& held_out) {
  std::vector<CalibrationRow> fit, held;
  for (const CalibrationRow& r : rows) (held_out(r) ? held : fit).push_back(r);
  return {FitPart(std::move(fit)), HeldOut(std::move(held))};
}

Split Split::by_shape(const std::vector<CalibrationRow>& rows, double share) {
  return by(rows, [&](const CalibrationRow& r) { return place(describe(r.shape)) < share; });
}

Split Split::by_sms(const std::vector<CalibrationRow>& rows, double share, std::int64_t all) {
  return by(rows,
            [&](const CalibrationRow& r) { return r.sms != all && place("SMs " + std::to_string(r.sms)) < share; });
}

}  // namespace railcast
