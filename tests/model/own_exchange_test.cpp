#include "model/own_exchange.hpp"

#include "tests/catch.hpp"

using namespace railcast;

namespace {

Machine machine() {
  Machine m;
  m.sms = 100, m.gpus_per_node = 8, m.hbm = ByteRate(3e12), m.nvlink = ByteRate(400e9);
  return m;
}

OwnExchangeKernels kernels() {
  const OwnKernel k{Time::seconds(10e-6), Time::seconds(5e-6), ByteRate(60e9), ByteRate(40e9), 0.75, 1};
  return {k, k, k, k, "made up"};
}

/// Every token to every rank: 4 experts, 4 chosen, 4 ranks.
OwnExchange everywhere(std::int64_t gpus) {
  OwnExchange e;
  e.shape = {1000, 1024, 4, 4, 4}, e.shape.dtype = Dtype::bf16, e.combine = true, e.gpus = gpus, e.sms = 10;
  return e;
}

}  // namespace

TEST_CASE("what crosses NVLink is the share of the other GPUs", "[model][own_exchange]") {
  const OwnBytes one = own_bytes(everywhere(1)), two = own_bytes(everywhere(2)), four = own_bytes(everywhere(4));
  CHECK(one.remote == 0);
  CHECK(one.local == Approx(4 * 4 * 1000 * 2048.0));
  CHECK(two.remote == Approx(two.local));
  CHECK(four.remote == Approx(3 * four.local));
  CHECK(four.local + four.remote == Approx(one.local / 4));
  CHECK(four.tokens == Approx(1000 * 2048.0));
}

TEST_CASE("an exchange takes its slowest bound after its start", "[model][own_exchange]") {
  const double rows = 4 * 4 * 1000 * 2048.0;
  const auto seconds = [](const OwnExchange& e) { return own_exchange(machine(), kernels(), e).total.seconds(); };
  CHECK(seconds(everywhere(1)) == Approx(10e-6 + rows / (10 * 60e9)));  // the SMs
  OwnExchange wide = everywhere(1);
  wide.sms = 100;
  CHECK(seconds(wide) == Approx(10e-6 + (rows + 4000 * 2048.0) / 3e12));  // memory
  wide.gpus = 4;
  CHECK(seconds(wide) == Approx(15e-6 + 0.75 * rows / 4 / (0.75 * 400e9)));  // NVLink, and other GPUs to wait for
  wide.shape.tokens = 0;
  CHECK(seconds(wide) == 0);
}

TEST_CASE("what travels with a row of a dispatch are its scales and its choices", "[model][own_exchange]") {
  OwnExchange e = everywhere(1);
  e.combine = false, e.shape.dtype = Dtype::fp8_block;
  CHECK(own_bytes(e).local == Approx(16000.0 * (1024 + 96)));  // 32 of scales, 32 of choices, 4: in pieces of 32
  e.low_latency = true;
  CHECK(own_bytes(e).local == Approx(16000.0 * (1024 + 32)));
  CHECK(own_bytes(e).tokens == Approx(4000.0 * 2048));  // read as BF16
}

TEST_CASE("ranks that cannot be dealt to the GPUs are refused", "[model][own_exchange]") {
  OwnExchange e = everywhere(3);
  CHECK_THROWS_AS(own_exchange(machine(), kernels(), e), std::invalid_argument);
  e.shape.ranks = e.gpus = 16, e.shape.experts = 16;
  CHECK_THROWS_AS(own_exchange(machine(), kernels(), e), std::invalid_argument);
}
