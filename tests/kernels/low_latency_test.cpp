#include "kernels/low_latency_reference.hpp"
#include "tests/catch.hpp"

using namespace railcast::kernels;

namespace {

/// Two ranks of two experts, up to three tokens each, top 2.
const LowLatencyShape kSmall{.ranks = 2, .tokens = 3, .experts = 4, .top_k = 2, .cols = 512};

}  // namespace

TEST_CASE("an expert's rows lie by rank, token and choice", "[kernels][low_latency]") {
  const auto rows = reference::low_latency_rows(kSmall, {{0, 2, 2, -1, 0, 0}, {2, 0}});
  REQUIRE(rows.size() == 4);
  REQUIRE(rows[0].size() == 4);
  CHECK((rows[0][0].rank == 0 && rows[0][0].choice == 0));
  CHECK((rows[0][2].rank == 0 && rows[0][2].choice == 5));
  CHECK((rows[0][3].rank == 1 && rows[0][3].choice == 1));
  CHECK(rows[1].empty());
  CHECK((rows[2][1].rank == 0 && rows[2][1].choice == 2));
  CHECK(rows[2][2].rank == 1);
}

TEST_CASE("both buffers of a low-latency window lie apart", "[kernels][low_latency]") {
  const LowLatencyWindow w = low_latency_window(kSmall);
  const std::int64_t rows = 2 * 6;
  CHECK(w.x[0] >= static_cast<std::int64_t>(sizeof(LowLatencySync)));
  CHECK(w.x_scales[0] >= w.x[0] + rows * 512);
  CHECK(w.scales[0] >= w.x_scales[0] + rows * 4 * 4);
  CHECK(w.y[0] >= w.scales[0] + rows * 4 * 4);
  CHECK(w.x[1] >= w.y[0] + rows * 512 * 2);
  CHECK(w.bytes >= w.y[1] + rows * 512 * 2);
  for (const std::int64_t offset : {w.x[0], w.x_scales[1], w.scales[1], w.y[1]}) CHECK(offset % 256 == 0);
}

TEST_CASE("low-latency shapes that the kernels cannot do are refused by name", "[kernels][low_latency][args]") {
  LowLatencyShape s = kSmall;
  s.cols = 640;
  CHECK_THROWS_WITH(low_latency_window(s), "exchange: expected cols a multiple of 512 up to 16384, got 640");
  s = kSmall, s.experts = 2048;
  CHECK_THROWS_WITH(low_latency_window(s), "exchange: expected up to 1024 experts, got 2048");
}
