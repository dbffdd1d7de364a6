// Units are types. Time is integer picoseconds; only amount / rate gives time, and nothing else mixes.
#pragma once
#include <cmath>
#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>
#include <stdexcept>

namespace railcast {

/// A duration or a point in simulated time, in integer picoseconds (9.2e18 ps = 106 days).
class Time {
 public:
  constexpr Time() = default;
  static constexpr Time ps(std::int64_t n) { return Time(n); }
  /// Rounds to the nearest picosecond. Throws std::domain_error on NaN, infinity or overflow.
  static Time seconds(double s) {
    const double ps = std::round(s * 1e12);
    if (!(std::abs(ps) < 9.2e18)) throw std::domain_error("time out of range or not a number");
    return Time(static_cast<std::int64_t>(ps));
  }
  static constexpr Time max() { return Time(std::numeric_limits<std::int64_t>::max()); }
  constexpr std::int64_t ps() const { return ps_; }
  constexpr double seconds() const { return static_cast<double>(ps_) * 1e-12; }
  constexpr auto operator<=>(const Time&) const = default;
  constexpr Time& operator+=(Time o) {
    ps_ += o.ps_;
    return *this;
  }
  constexpr Time& operator-=(Time o) {
    ps_ -= o.ps_;
    return *this;
  }
  friend constexpr Time operator+(Time a, Time b) { return Time(a.ps_ + b.ps_); }
  friend constexpr Time operator-(Time a, Time b) { return Time(a.ps_ - b.ps_); }
  /// A double would be cut to an integer without a word: scale with Time::seconds(x * t.seconds()).
  friend constexpr Time operator*(std::integral auto n, Time t) { return Time(static_cast<std::int64_t>(n) * t.ps_); }

 private:
  constexpr explicit Time(std::int64_t n) : ps_(n) {}
  std::int64_t ps_ = 0;
};

/// A physical amount (bytes, FLOPs) with its own type per unit.
template <class Unit>
class Amount {
 public:
  constexpr Amount() = default;
  constexpr explicit Amount(double v) : v_(v) {}
  constexpr double value() const { return v_; }
  constexpr auto operator<=>(const Amount&) const = default;
  constexpr Amount& operator+=(Amount o) {
    v_ += o.v_;
    return *this;
  }
  friend constexpr Amount operator+(Amount a, Amount b) { return Amount(a.v_ + b.v_); }
  friend constexpr Amount operator-(Amount a, Amount b) { return Amount(a.v_ - b.v_); }
  friend constexpr Amount operator*(double n, Amount a) { return Amount(n * a.v_); }
  friend constexpr double operator/(Amount a, Amount b) { return a.v_ / b.v_; }

 private:
  double v_ = 0;
};

/// An amount per second.
template <class Unit>
class Rate {
 public:
  constexpr Rate() = default;
  constexpr explicit Rate(double per_second) : v_(per_second) {}
  constexpr double per_second() const { return v_; }
  constexpr auto operator<=>(const Rate&) const = default;
  friend constexpr Rate operator*(double n, Rate r) { return Rate(n * r.v_); }
  friend constexpr double operator/(Rate a, Rate b) { return a.v_ / b.v_; }
  /// The time an amount takes at this rate; throws std::domain_error where the rate is zero.
  friend Time operator/(Amount<Unit> a, Rate r) { return Time::seconds(a.value() / r.v_); }

 private:
  double v_ = 0;
};

struct ByteUnit {};
struct FlopUnit {};
using Bytes = Amount<ByteUnit>;
using Flops = Amount<FlopUnit>;
using ByteRate = Rate<ByteUnit>;
using FlopRate = Rate<FlopUnit>;

}  // namespace railcast
