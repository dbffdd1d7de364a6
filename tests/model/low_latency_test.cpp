#include "model/low_latency.hpp"

#include "cli/load_machine.hpp"
#include "tests/catch.hpp"

using namespace railcast;

namespace {

Machine machine(const char* name) { return load_machine(name, std::string(RAILCAST_SOURCE_DIR) + "/scenarios"); }

LowLatencyExchange exchange(std::int64_t ranks, bool combine, std::int64_t tokens = 128) {
  return {{tokens, 7168, 256, 8, ranks, 1, 1, combine ? Dtype::bf16 : Dtype::fp8_block}, combine, true};
}

LowLatencyTime at(const Machine& m, const LowLatencyExchange& e) { return low_latency_exchange(m, m.exchange, e); }

}  // namespace

TEST_CASE("messages are rows with scales and a header, or rows", "[model][low_latency]") {
  CHECK(message_bytes(exchange(8, false)) == 7408);
  CHECK(message_bytes(exchange(8, true)) == 14336);
}

TEST_CASE("every selection but the own GPU's crosses one port", "[model][low_latency]") {
  const Machine m = machine("h800");
  for (std::int64_t ranks : {2, 8, 16, 64, 256}) {
    const LowLatencyTime t = at(m, exchange(ranks, true));
    const double all = 128 * 8 * 14336.0;
    CHECK(t.nic_bytes + t.nvlink_bytes == Approx(all * double(ranks - 1) / double(ranks)));
    CHECK((t.nic_bytes > 0) == (ranks > 8));
    const double nic = t.nic_bytes / (m.exchange.nic_share * m.nic.per_second());
    CHECK(t.total.seconds() > nic);
    CHECK(t.total.seconds() > m.exchange.start.seconds());
  }
}

TEST_CASE("without NVLink all goes by the NIC", "[model][low_latency]") {
  const Machine m = machine("h800");
  LowLatencyExchange e = exchange(8, false);
  e.nvlink = false;
  CHECK(at(m, e).nvlink_bytes == 0);
  CHECK(at(m, e).total > at(m, exchange(8, false)).total);
}

TEST_CASE("the hook holds SMs for less than the bytes fly", "[model][low_latency]") {
  const LowLatencyTime t = at(machine("h800"), exchange(64, false));
  CHECK(t.send + t.receive < Time::seconds(0.2 * t.total.seconds()));
}

TEST_CASE("more tokens, more ranks and slower ports take longer", "[model][low_latency]") {
  Machine m = machine("h800");
  CHECK(at(m, exchange(64, false, 1)).total < at(m, exchange(64, false, 16)).total);
  CHECK(at(m, exchange(64, false, 1)).total.seconds() < 30e-6);
  for (std::int64_t ranks = 8; ranks < 256; ranks *= 2)
    CHECK(at(m, exchange(ranks, true)).total < at(m, exchange(2 * ranks, true)).total);
  const Time before = at(m, exchange(64, true)).total;
  m.nic = 0.5 * m.nic;
  CHECK(at(m, exchange(64, true)).total > before);
}

TEST_CASE("low latency refuses what cannot be laid out", "[model][low_latency]") {
  const Machine m = machine("h800");
  CHECK_THROWS_AS(at(m, exchange(24, false)), std::invalid_argument);
  CHECK_THROWS_AS(at(m, exchange(12, false)), std::invalid_argument);
  LowLatencyExchange e = exchange(8, false);
  e.shape.top_k = 0;
  CHECK_THROWS_AS(at(m, e), std::invalid_argument);
}
