// One expression, given on the compiler's command line, among units it may use; CMakeLists.txt says which must not
// compile.
#include "sim/units.hpp"

using namespace railcast;

void takes_time(Time);
void takes_bytes(Bytes);
void takes_byte_rate(ByteRate);

void right(Time time, Bytes bytes, Flops flops, ByteRate byte_rate, FlopRate flop_rate) {
  takes_time(2 * time + bytes / byte_rate + flops / flop_rate);
  takes_bytes(bytes + 0.5 * bytes);
  takes_byte_rate(ByteRate(400e9));
  (void)(time < time && bytes < bytes && flops < flops);
}

void asked([[maybe_unused]] Time time, [[maybe_unused]] Bytes bytes, [[maybe_unused]] Flops flops,
           [[maybe_unused]] ByteRate byte_rate, [[maybe_unused]] FlopRate flop_rate) {
  (void)(RAILCAST_EXPRESSION);
}
