#include "model/train.hpp"

namespace railcast {

const char* name(Kind k) {
  static constexpr std::array<const char*, kKinds> names{
      "ATTN(F)", "DISPATCH(F)", "MLP(F)",     "COMBINE(F)", "COMBINE(B)", "MLP(B)",         "MLP(W)",    "DISPATCH(B)",
      "ATTN(B)", "ATTN(W)",     "EMBED(F)",   "EMBED(B)",   "MTP(F)",     "MTP(B)",         "MTP(W)",    "HEAD(F)",
      "HEAD(B)", "HEAD(W)",     "COLLECTIVE", "SEND(F)",    "SEND(B)",    "REDUCE_SCATTER", "OPTIMIZER", "ALL_GATHER"};
  return names[static_cast<std::size_t>(k)];
}

bool is_send(Kind k) { return k == Kind::send_f || k == Kind::send_b; }

bool is_communication(Kind k) {
  switch (k) {
    case Kind::dispatch_f:
    case Kind::combine_f:
    case Kind::combine_b:
    case Kind::dispatch_b:
    case Kind::collective:
    case Kind::reduce_scatter:
    case Kind::all_gather:
      return true;
    default:
      return is_send(k);
  }
}

std::uint64_t pack(const Tag& t) {
  return std::uint64_t{t.who} | std::uint64_t{t.gang} << 24 | std::uint64_t{static_cast<std::uint8_t>(t.kind)} << 25 |
         std::uint64_t{t.instruction} << 32 | std::uint64_t{t.layer} << 52;
}

Tag unpack(std::uint64_t tag) {
  const auto bits = [tag](int from, int count) {
    return static_cast<std::uint32_t>(tag >> from & ((std::uint64_t{1} << count) - 1));
  };
  return {bits(0, 24), bits(32, 20), bits(52, 12), static_cast<Kind>(bits(25, 7)), bits(24, 1) != 0};
}

}  // namespace railcast
