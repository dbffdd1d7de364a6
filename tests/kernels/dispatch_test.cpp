#include "kernels/dispatch_reference.hpp"

#include <rapidcheck.h>

#include <set>
#include <tuple>

#include "kernels/combine_reference.hpp"
#include "kernels/error.hpp"
#include "tests/catch.hpp"
#include "tests/kernels/layer_test.hpp"

using namespace railcast::kernels;

namespace {

/// Two ranks of two experts, three tokens on rank 0 and one on rank 1, top 2.
const ExchangeShape kSmall{.ranks = 2, .tokens = 3, .experts = 4, .top_k = 2, .row_bytes = 16, .groups = 3, .cols = 8};
const reference::Chosen kChosen = {{0, 2, 3, 2, -1, 1}, {0, 1}};

}  // namespace

TEST_CASE("a token is numbered once for each rank it goes to", "[kernels][dispatch]") {
  CHECK(reference::places(kSmall, kChosen[0]) == std::vector<int>{0, 0, -1, 1, 1, -1});
  CHECK(reference::places(kSmall, kChosen[1]) == std::vector<int>{0, -1});
  CHECK(reference::experts_on(kSmall, kChosen[0], 0, 1) == std::vector<int>{-1, 0});
  CHECK(reference::experts_on(kSmall, kChosen[0], 1, 1) == std::vector<int>{1, 0});
  CHECK(reference::experts_on(kSmall, kChosen[0], 2, 0) == std::vector<int>{-1, 1});
}

TEST_CASE("rows of a window lie by source rank, then token", "[kernels][dispatch]") {
  const auto rows = reference::dispatched(kSmall, kChosen);
  REQUIRE(rows[0].size() == 3);
  REQUIRE(rows[1].size() == 2);
  CHECK((rows[0][1].rank == 0 && rows[0][1].token == 2));
  CHECK((rows[0][2].rank == 1 && rows[0][2].token == 0));
  CHECK((rows[1][1].rank == 0 && rows[1][1].token == 1));
}

TEST_CASE("combine adds a token's rows up over its ranks", "[kernels][combine]") {
  std::vector<std::vector<Bf16>> y(2, std::vector<Bf16>(6 * 8));
  for (std::size_t d = 0; d < 2; ++d)
    for (std::size_t i = 0; i < y[d].size(); ++i) y[d][i] = bf16_from_float(static_cast<float>(100 * d + i / 8));
  const std::vector<double> out = reference::combine(kSmall, 0, kChosen, y);
  REQUIRE(out.size() == 3 * 8);
  CHECK(out[0] == 0 + 100);
  CHECK(out[8] == 101);
  CHECK(out[16] == 1);
  CHECK(reference::combine(kSmall, 1, kChosen, y)[7] == 2);
}

TEST_CASE("every token lies on every rank of its experts exactly once", "[kernels][dispatch][property]") {
  CHECK(rc::check([] {
    ExchangeShape s{.ranks = *rc::gen::inRange(1, 65), .tokens = 20, .top_k = *rc::gen::inRange(1, 9), .row_bytes = 16};
    s.experts = s.ranks * *rc::gen::inRange(1, 4);
    reference::Chosen chosen;
    for (int r = 0; r < s.ranks; ++r)
      chosen.push_back(*rc::gen::container<std::vector<int>>(static_cast<std::size_t>(s.top_k * (r % 4)),
                                                             rc::gen::inRange(-1, static_cast<int>(s.experts))));
    const auto rows = reference::dispatched(s, chosen);
    std::set<std::tuple<int, int, int>> wanted;  // destination, source, token
    for (int r = 0; r < s.ranks; ++r)
      for (std::size_t i = 0; i < chosen[static_cast<std::size_t>(r)].size(); ++i)
        if (const int e = chosen[static_cast<std::size_t>(r)][i]; e >= 0)
          wanted.emplace(static_cast<int>(e / (s.experts / s.ranks)), r, static_cast<int>(i) / s.top_k);
    std::size_t all = 0;
    for (const auto& mine : rows) all += mine.size();
    RC_ASSERT(all == wanted.size());
    for (int d = 0; d < s.ranks; ++d) {
      const auto& mine = rows[static_cast<std::size_t>(d)];
      for (std::size_t i = 1; i < mine.size(); ++i)
        RC_ASSERT(std::pair(mine[i - 1].rank, mine[i - 1].token) < std::pair(mine[i].rank, mine[i].token));
      for (const reference::Sent& sent : mine) {
        RC_ASSERT(wanted.count({d, sent.rank, sent.token}) == 1U);
        const auto here = reference::experts_on(s, chosen[static_cast<std::size_t>(sent.rank)], sent.token, d);
        RC_ASSERT(std::any_of(here.begin(), here.end(), [](int e) { return e >= 0; }));
      }
    }
  }));
}

TEST_CASE("a window holds its parts one after another, each aligned to 256 bytes", "[kernels][dispatch]") {
  const Window w = window_of(kSmall);
  const std::int64_t rows = 6, ends[] = {w.x + rows * 16, w.scales + rows * w.note_pitch, w.y + rows * 8 * 2,
                                         w.y_weights + rows * 2 * 4};
  const std::int64_t starts[] = {w.scales, w.y, w.y_weights, w.bytes};
  CHECK(w.x >= static_cast<std::int64_t>(sizeof(ExchangeSync)));
  for (int i = 0; i < 4; ++i) {
    CHECK(starts[i] >= ends[i]);
    CHECK(starts[i] % 256 == 0);
  }
}

TEST_CASE("a note holds scales, weights, experts and source in whole packets", "[kernels][dispatch]") {
  const Window w = window_of(kSmall);
  CHECK(w.weights == w.scales + 3 * 4);
  CHECK(w.experts == w.weights + 2 * 4);
  CHECK(w.source == w.experts + 2 * 4);
  CHECK(w.note_bytes == 32);
  CHECK(w.note_pitch == 128);
  const Window v3 = window_of({.ranks = 8, .tokens = 1, .experts = 256, .top_k = 8, .row_bytes = 7168, .groups = 56});
  CHECK(v3.note_bytes == 320);  // 224 + 32 + 32 + 4, in sectors of 32
  CHECK(v3.note_pitch == 384);
}

TEST_CASE("shapes that the exchange cannot do are refused by name", "[kernels][dispatch][args]") {
  ExchangeShape s = kSmall;
  s.ranks = 65;
  CHECK_THROWS_WITH(window_of(s), "exchange: expected 1 to 64 ranks, got 65");
  s = kSmall, s.experts = 5;
  CHECK_THROWS_WITH(window_of(s), "exchange: expected experts a multiple of the 2 ranks, got 5");
  s = kSmall, s.row_bytes = 24;
  CHECK_THROWS_WITH(window_of(s), "exchange: expected row_bytes a multiple of 16 up to 32768, got 24");
  s = kSmall, s.top_k = 33;
  CHECK_THROWS_WITH(window_of(s), "exchange: expected top_k of 1 to 32, got 33");
}
